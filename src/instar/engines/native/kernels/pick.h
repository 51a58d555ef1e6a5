// Which token comes next: greedy, or drawn by one uniform number (the inverse of the cumulative distribution, in the
// order of the vocabulary), after temperature, top-k and top-p in the order of transformers.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
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

// The likeliest words of one row, offered in any order: `most` of them at least, and all that tie with the last.
class Likeliest {
 public:
  void begin(int most) {
    most_ = most;
    full_ = 2 * most + 128;
    if (logits_.size() < static_cast<size_t>(full_) + 48) {
      logits_.resize(full_ + 48);
      tokens_.resize(full_ + 48);
    }
    least_ = -INFINITY;
    size_ = 0;
    broken = false;
  }

  // 32 logits, of which the first `count` are words: `token` and those after it. What is not a number passes the
  // comparison too, and is found out among the few that pass.
  void offer(const float* logits, int token, int count) {
    const __m512 least = _mm512_set1_ps(least_);
    const __mmask16 left = _mm512_cmp_ps_mask(_mm512_loadu_ps(logits), least, _CMP_NLT_UQ);
    const __mmask16 right = _mm512_cmp_ps_mask(_mm512_loadu_ps(logits + 16), least, _CMP_NLT_UQ);
    if (left | right) enter(left | static_cast<uint32_t>(right) << 16, logits, token, count);
  }

  void append(std::vector<Word>& to) const {
    for (int i = 0; i < size_; i++) to.push_back({logits_[i], tokens_[i]});
  }

  bool broken = false;

 private:
  void enter(uint32_t in, const float* logits, int token, int count) {
    for (; in; in &= in - 1) {
      const int i = __builtin_ctz(in);
      if (i >= count) break;
      if (!std::isfinite(logits[i])) {
        broken = true;
        continue;
      }
      logits_[size_] = logits[i];
      tokens_[size_++] = token + i;
    }
    if (size_ >= full_) cut();
  }

  // Finds a bound that at least `most` pass and few others, by halving, and drops what is below it.
  void cut() {
    for (int i = 0; i < 16; i++) logits_[size_ + i] = -INFINITY;
    __m512 low = _mm512_set1_ps(INFINITY), high = _mm512_set1_ps(-INFINITY);
    for (int i = 0; i < size_; i += 16) {
      const __m512 x = _mm512_loadu_ps(&logits_[i]);
      high = _mm512_max_ps(high, x);
      low = _mm512_mask_min_ps(low, _mm512_cmp_ps_mask(x, _mm512_set1_ps(-INFINITY), _CMP_GT_OQ), low, x);
    }
    float pass = _mm512_reduce_min_ps(low), fail = _mm512_reduce_max_ps(high);
    for (int n = 0; n < 14; n++) {
      const float middle = pass + (fail - pass) / 2;
      int passing = 0;
      for (int i = 0; i < size_; i += 16)
        passing += __builtin_popcount(_mm512_cmp_ps_mask(_mm512_loadu_ps(&logits_[i]), _mm512_set1_ps(middle), _CMP_GE_OQ));
      (passing >= most_ ? pass : fail) = middle;
    }
    least_ = pass;
    int kept = 0;
    for (int i = 0; i < size_; i += 16) {
      const __m512 x = _mm512_loadu_ps(&logits_[i]);
      const __m512i t = _mm512_loadu_si512(&tokens_[i]);
      const __mmask16 in = _mm512_cmp_ps_mask(x, _mm512_set1_ps(pass), _CMP_GE_OQ);
      _mm512_mask_compressstoreu_ps(&logits_[kept], in, x);
      _mm512_mask_compressstoreu_epi32(&tokens_[kept], in, t);
      kept += __builtin_popcount(in);
    }
    size_ = kept;
    if (size_ < full_) return;
    full_ *= 2;  // so many are equal that no bound parts them: hold them all
    logits_.resize(full_ + 48);
    tokens_.resize(full_ + 48);
  }

  int most_ = 1, full_ = 0, size_ = 0;
  float least_ = -INFINITY;
  std::vector<float> logits_;
  std::vector<int32_t> tokens_;
};

// What a thread needs to pick, kept so that it is not allocated for every token.
struct Bench {
  Likeliest found;
  std::vector<Word> words;
  std::vector<double> chances, ordered;
  bool broken = false;

  void begin() {
    words.clear();
    broken = false;
  }
  void take(const Likeliest& part) {
    part.append(words);
    broken |= part.broken;
  }
};

// How many of the likeliest words a token is drawn from: not more than `vocab`.
inline int wanted(const Sampling& how, int vocab) {
  if (how.temperature == 0) return 1;
  return how.top_k > 0 && how.top_k < vocab ? how.top_k : vocab;
}

// Draws from the words of the bench, which are at least the likeliest that are wanted.
inline int pick(const Sampling& how, int vocab, double number, Bench& bench) {
  if (bench.broken || bench.words.empty()) return BROKEN;
  auto& words = bench.words;
  const int most = wanted(how, vocab);
  const auto likelier = [](const Word& a, const Word& b) { return a.logit > b.logit || (a.logit == b.logit && a.token < b.token); };
  if (how.temperature == 0) return std::min_element(words.begin(), words.end(), likelier)->token;
  if (words.size() > static_cast<size_t>(most)) {
    std::nth_element(words.begin(), words.begin() + (most - 1), words.end(), likelier);
    words.resize(most);
  }
  std::sort(words.begin(), words.end(), [](const Word& a, const Word& b) { return a.token < b.token; });
  float top = -INFINITY;
  for (const Word& w : words) top = std::max(top, w.logit);
  auto& chances = bench.chances;
  chances.resize(words.size());
  double total = 0;
  for (size_t i = 0; i < words.size(); i++) total += chances[i] = std::exp((static_cast<double>(words[i].logit) - top) / how.temperature);
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

// The same from a whole row of logits.
inline int pick(const float* logits, int vocab, const Sampling& how, double number, Bench& bench) {
  bench.found.begin(wanted(how, vocab));
  for (int i = 0; i < vocab; i += 32) bench.found.offer(logits + i, i, vocab - i);
  bench.begin();
  bench.take(bench.found);
  return pick(how, vocab, number, bench);
}

}  // namespace instar
