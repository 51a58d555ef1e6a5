// Which token comes next: greedy, or drawn by one uniform number (the inverse of the cumulative distribution, in the
// order of the vocabulary), after temperature, top-k and top-p in the order of transformers.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "numbers.h"

namespace instar {

struct Sampling {
  double temperature;  // 0: the likeliest
  double top_p;        // 1: all
  int32_t top_k;       // 0: all
};

constexpr int BROKEN = -1;  // in place of a token where the logits are not numbers

// A number in [0, 1) for place `at` of the sample with this key (splitmix64).
inline double uniform(uint64_t key, uint64_t at) {
  uint64_t z = key + 0x9e3779b97f4a7c15ull * (at + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

struct Word {
  float logit;
  int32_t token;
};

// What a thread needs to pick, kept so that it is not allocated for every token.
struct Bench {
  std::vector<Word> words;
  std::vector<double> chances, ordered;
};

inline float largest(const float* logits, int n) {
  float most = -INFINITY;
  int i = 0;
  __m512 m = _mm512_set1_ps(-INFINITY), bad = _mm512_setzero_ps();
  for (; i + 16 <= n; i += 16) {
    const __m512 x = _mm512_loadu_ps(logits + i);
    m = _mm512_max_ps(m, x);
    bad = _mm512_add_ps(bad, _mm512_sub_ps(x, x));  // 0 for numbers; not a number for infinities and what is none
  }
  for (; i < n; i++) {
    most = std::max(most, logits[i]);
    if (!std::isfinite(logits[i])) return NAN;
  }
  if (!std::isfinite(_mm512_reduce_add_ps(bad))) return NAN;
  return std::max(most, _mm512_reduce_max_ps(m));
}

// The k likeliest words, in the order of the vocabulary; of equals the first.
inline void likeliest(const float* logits, int n, int k, std::vector<Word>& out) {
  const auto before = [](const Word& a, const Word& b) { return a.logit > b.logit || (a.logit == b.logit && a.token < b.token); };
  const size_t full = static_cast<size_t>(k) * 2 + 256;
  float least = -INFINITY;
  out.clear();
  const auto cut = [&] {
    std::nth_element(out.begin(), out.begin() + (k - 1), out.end(), before);
    out.resize(k);
    least = out[k - 1].logit;
  };
  int i = 0;
  for (; i + 16 <= n; i += 16) {
    // at a full list an equal that comes later never enters
    __mmask16 in = _mm512_cmp_ps_mask(_mm512_loadu_ps(logits + i), _mm512_set1_ps(least), _CMP_GT_OQ);
    for (; in; in &= in - 1) {
      const int at = i + __builtin_ctz(in);
      out.push_back({logits[at], at});
    }
    if (out.size() >= full) cut();
  }
  for (; i < n; i++)
    if (logits[i] > least) out.push_back({logits[i], i});
  if (out.size() > static_cast<size_t>(k)) cut();
  std::sort(out.begin(), out.end(), [](const Word& a, const Word& b) { return a.token < b.token; });
}

inline int pick(const float* logits, int n, const Sampling& how, double number, Bench& bench) {
  const float top = largest(logits, n);
  if (!std::isfinite(top)) return BROKEN;
  if (how.temperature == 0) return static_cast<int>(std::find(logits, logits + n, top) - logits);
  auto& words = bench.words;
  if (how.top_k > 0 && how.top_k < n) {
    likeliest(logits, n, how.top_k, words);
  } else {
    words.resize(n);
    for (int i = 0; i < n; i++) words[i] = {logits[i], i};
  }
  auto& chances = bench.chances;
  chances.resize(words.size());
  double total = 0;
  for (size_t i = 0; i < words.size(); i++) {
    const double x = (static_cast<double>(words[i].logit) - top) / how.temperature;
    total += chances[i] = x < -745 ? 0.0 : std::exp(x);
  }
  if (how.top_p < 1) {
    // the least chance that still belongs to the likeliest words whose chances sum to top_p
    auto& ordered = bench.ordered;
    ordered = chances;
    std::sort(ordered.begin(), ordered.end(), std::greater<>());
    double before = 0, least = ordered[0];
    for (double c : ordered) {
      if (before >= how.top_p * total) break;
      least = c;
      before += c;
    }
    total = 0;
    for (double& c : chances) total += c < least ? c = 0 : c;
  }
  const double drawn = number * total;
  double sum = 0;
  int last = words[0].token;
  for (size_t i = 0; i < words.size(); i++) {
    if (chances[i] == 0) continue;
    sum += chances[i];
    last = words[i].token;
    if (sum > drawn) break;
  }
  return last;
}

}  // namespace instar
