// A Llama: weights packed for this processor, a paged cache, and one step of many sequences at once.
//
// Everything that a token's result depends on is computed for it alone and in one order: a step gives each row the
// same numbers, to the last bit, whatever rows stand beside it and however many threads there are.
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

#include "attention.h"
#include "pick.h"
#include "product.h"
#include "team.h"

namespace instar {

struct Shape {
  int32_t hidden, inner, layers, heads, kv_heads, head, vocab, context, tied;
  int32_t pages, threads;
  float eps;
};

// One step. Rows are tokens: `ids`, their `positions`, and the sequence each belongs to (a row of `tables`). Of the rows
// `last` [lasts] the logits are computed; draw i picks from those of `last[of[i]]`.
struct Step {
  int32_t rows, lasts, draws, table_stride;
  int32_t alone;  // no row reads what another one writes: each sequence has one row
  const int32_t *ids, *positions, *sequences, *tables, *last, *of;
  const Sampling* samplings;  // one each draw
  const uint64_t* keys;       // one each draw
  const int32_t* places;      // of the token in its sample, one each draw
  int32_t* tokens;            // what was picked, one each draw
  float* logits;              // [lasts, vocab] if they are wanted, else null
};

class Llama {
 public:
  virtual ~Llama() = default;
  virtual void set(const char* part, int layer, const float* rows, int from, int count) = 0;
  virtual void step(const Step& s) = 0;
  virtual void copy(int from, int to) = 0;
};

constexpr int MOST_HEAD = 512;

// a / b: to the last bit in float32, to 14 bits and one step of Newton's where bfloat16 is what remains of it
inline __m512 quotient(__m512 a, __m512 b, float) { return _mm512_div_ps(a, b); }
inline __m512 quotient(__m512 a, __m512 b, bf16) {
  const __m512 r = _mm512_rcp14_ps(b);
  return _mm512_mul_ps(a, _mm512_mul_ps(r, _mm512_fnmadd_ps(b, r, _mm512_set1_ps(2.0f))));
}

template <class T>
class Typed final : public Llama {
 public:
  explicit Typed(const Shape& s)
      : s_(s), q_(s.heads * s.head), kv_(s.kv_heads * s.head), vocab_(static_cast<int>(up(s.vocab, WIDE))), cache_(s.layers, s.kv_heads, s.head, s.pages), head_(s.vocab, s.hidden),
        table_(s.tied ? 0 : static_cast<size_t>(s.vocab) * s.hidden), final_(s.hidden), turns_(static_cast<size_t>(s.context) * s.head),
        team_(s.threads), counters_(s.layers * 8 + 8), rooms_(s.threads), benches_(s.threads) {
    for (int l = 0; l < s.layers; l++) layers_.emplace_back(s, q_, kv_);
    for (auto& r : rooms_) r = Memory<float>(TOGETHER * up(s.context, PAGE));
  }

  void set(const char* named, int layer, const float* rows, int from, int count) override {
    const std::string part = named;
    const auto matrix = [&](const Weights<T>& w, int offset) {
      team_.run([&](int me) {
        const int begin = static_cast<int>(static_cast<long>(count) * me / team_.size());
        const int end = static_cast<int>(static_cast<long>(count) * (me + 1) / team_.size());
        for (int i = begin; i < end; i++) w.set(offset + from + i, rows + static_cast<size_t>(i) * w.in);
      });
    };
    if (part == "rotations") {  // [context, (cosine, sine), head / 2]
      std::memcpy(turns_.get(), rows, sizeof(float) * static_cast<size_t>(s_.context) * s_.head);
    } else if (part == "embed") {
      if (s_.tied) matrix(head_, 0);
      else
        for (size_t i = 0; i < static_cast<size_t>(count) * s_.hidden; i++) put(&table_[static_cast<size_t>(from) * s_.hidden + i], rows[i]);
    } else if (part == "head") {
      matrix(head_, 0);
    } else if (part == "norm") {
      std::memcpy(final_.get(), rows, sizeof(float) * s_.hidden);
    } else {
      Layer& l = layers_.at(layer);
      if (part == "input_layernorm") std::memcpy(l.before.get(), rows, sizeof(float) * s_.hidden);
      if (part == "post_attention_layernorm") std::memcpy(l.between.get(), rows, sizeof(float) * s_.hidden);
      if (part == "q_proj") matrix(l.qkv, 0);
      if (part == "k_proj") matrix(l.qkv, q_);
      if (part == "v_proj") matrix(l.qkv, q_ + kv_);
      if (part == "o_proj") matrix(l.o, 0);
      if (part == "down_proj") matrix(l.down, 0);
      // 16 outputs of the gate and the same 16 of `up` share a panel, so that one block holds both
      if (part == "gate_proj" || part == "up_proj")
        for (int i = from; i < from + count; i++)
          l.gated.set(i / 16 * WIDE + i % 16 + (part == "up_proj" ? 16 : 0), rows + static_cast<size_t>(i - from) * s_.hidden);
    }
  }

  void copy(int from, int to) override { cache_.copy(from, to); }

  void step(const Step& s) override {
    reserve(s.rows, s.lasts);
    for (auto& c : counters_) c.reset();
    team_.run([&](int me) { walk(s, me); });
  }

 private:
  struct Layer {
    Weights<T> qkv, o, gated, down;
    Memory<float> before, between;
    Layer(const Shape& s, int q, int kv)
        : qkv(q + 2 * kv, s.hidden), o(s.hidden, q), gated(static_cast<int>(up(s.inner, 16)) * 2, s.hidden), down(s.hidden, s.inner),
          before(s.hidden), between(s.hidden) {}
  };

  void reserve(int rows, int lasts) {
    const size_t n = up(rows, WIDE), m = up(lasts, WIDE);
    if (n > rows_) {
      rows_ = n;
      x_ = Memory<float>(n * s_.hidden);
      qkv_ = Memory<float>(n * (q_ + 2 * kv_));
      queries_ = Memory<T>(n * q_);
      a_ = Rows<T>(rows, s_.hidden);
      mixed_ = Rows<T>(rows, q_);
      h_ = Rows<T>(rows, s_.inner);
    }
    if (m > lasts_) {
      lasts_ = m;
      logits_ = Memory<float>(m * vocab_);
      ends_ = Rows<T>(lasts, s_.hidden);
    }
  }

  template <class Do>
  void share(Counter& c, int count, int piece, Do each) {
    for (int at = c.take() * piece; at < count; at = c.take() * piece)
      for (int i = at; i < at + piece && i < count; i++) each(i);
  }

  void embed(int token, float* x) const {
    if (s_.tied)
      for (int i = 0; i < s_.hidden; i++) x[i] = widened(head_.at(token, i));
    else
      for (int i = 0; i < s_.hidden; i++) x[i] = widened(table_[static_cast<size_t>(token) * s_.hidden + i]);
  }

  void norm(const float* x, const float* weight, const Rows<T>& out, int row) const {
    __m512 sum = _mm512_setzero_ps();
    for (int i = 0; i < s_.hidden; i += 16) {
      const __m512 v = _mm512_loadu_ps(x + i);
      sum = _mm512_fmadd_ps(v, v, sum);
    }
    const float mean = _mm512_reduce_add_ps(sum) / static_cast<float>(s_.hidden);
    const __m512 factor = _mm512_set1_ps(1.0f / std::sqrt(mean + s_.eps));
    for (int i = 0; i < s_.hidden; i += 16)
      put16(out.at(row, i), _mm512_mul_ps(_mm512_loadu_ps(weight + i), _mm512_mul_ps(_mm512_loadu_ps(x + i), factor)));
  }

  // `turns`: the cosines of half a head, then its sines.
  void turn(const float* from, const float* turns, float factor, float* out) const {
    const int half = s_.head / 2;
    for (int i = 0; i < half; i += 8) {
      const __m256 c = _mm256_loadu_ps(turns + i), s = _mm256_loadu_ps(turns + half + i), f = _mm256_set1_ps(factor);
      const __m256 a = _mm256_loadu_ps(from + i), b = _mm256_loadu_ps(from + half + i);
      _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)), f));
      _mm256_storeu_ps(out + half + i, _mm256_mul_ps(_mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)), f));
    }
  }

  const int32_t* table(const Step& s, int row) const { return s.tables + static_cast<size_t>(s.sequences[row]) * s.table_stride; }

  // Queries and keys get their positions; keys and values go into the cache.
  void place(const Step& s, int layer, int row) const {
    const float* from = qkv_.get() + static_cast<size_t>(row) * (q_ + 2 * kv_);
    const int position = s.positions[row], size = s_.head;
    const float* turns = turns_.get() + static_cast<size_t>(position) * size;
    const int page = table(s, row)[position / PAGE];
    const float factor = 1.0f / std::sqrt(static_cast<float>(size));
    alignas(64) float turned[MOST_HEAD];
    T* q = queries_.get() + static_cast<size_t>(row) * q_;
    for (int h = 0; h < s_.heads; h++) {
      turn(from + h * size, turns, factor, turned);
      for (int i = 0; i < size; i += 16) put16(q + h * size + i, _mm512_load_ps(turned + i));
    }
    for (int h = 0; h < s_.kv_heads; h++) {
      turn(from + q_ + h * size, turns, 1.0f, turned);
      remember(cache_.keys(layer, page, h), cache_.values(layer, page, h), position % PAGE, turned, from + q_ + kv_ + h * size, size);
    }
  }

  void attention(const Step& s, int layer, int row, float* room) const {
    const int group = s_.heads / s_.kv_heads, after = std::min(row + 1, s.rows - 1);
    int known = 0;  // pages that the next row shares with this one
    if (s.alone)
      while (known <= s.positions[row] / PAGE && table(s, after)[known] == table(s, row)[known]) known++;
    for (int h = 0; h < s_.kv_heads; h++) {
      if (s.alone) fetch(cache_, layer, h, table(s, after), known, s.positions[after] + 1);
      const int first = h * group * s_.head;
      const T* q = queries_.get() + static_cast<size_t>(row) * q_ + first;
      attend(cache_, layer, h, table(s, row), s.positions[row] + 1, q, mixed_, row, first, group, room);
    }
  }

  void walk(const Step& s, int me) {
    constexpr bool tiles = sizeof(T) == 2;
    const Tiles for_products, for_attention = attention_tiles(s_.heads / s_.kv_heads);
    if (tiles) for_products.on();
    size_t c = 0;
    const int hidden = s_.hidden, all = q_ + 2 * kv_;
    const auto added = [&](int row, int p, const float* v) {
      const int at = p * WIDE, width = std::min(WIDE, hidden - at);
      float* to = x_.get() + static_cast<size_t>(row) * hidden + at;
      for (int i = 0; i < width; i += 16) _mm512_storeu_ps(to + i, _mm512_add_ps(_mm512_loadu_ps(to + i), _mm512_load_ps(v + i)));
    };
    const auto normed = [&](const float* weight) {
      share(counters_[c++], s.rows, 8, [&](int r) { norm(x_.get() + static_cast<size_t>(r) * hidden, weight, a_, r); });
      team_.barrier();
    };
    share(counters_[c++], s.rows, 8, [&](int r) { embed(s.ids[r], x_.get() + static_cast<size_t>(r) * hidden); });
    team_.barrier();
    for (int l = 0; l < s_.layers; l++) {
      const Layer& layer = layers_[l];
      normed(layer.before.get());
      multiply(a_, s.rows, layer.qkv, counters_[c++], [&](int row, int p, const float* v) {
        const int at = p * WIDE, width = std::min(WIDE, all - at);
        float* to = qkv_.get() + static_cast<size_t>(row) * all + at;
        for (int i = 0; i < width; i += 16) _mm512_storeu_ps(to + i, _mm512_load_ps(v + i));
      });
      team_.barrier();
      if (!s.alone) {  // rows of one sequence see each other: all must be in the cache first
        share(counters_[c++], s.rows, 8, [&](int r) { place(s, l, r); });
        team_.barrier();
      }
      if (tiles) for_attention.on();
      share(counters_[c++], s.rows, 8, [&](int r) {
        if (s.alone) place(s, l, r);
        attention(s, l, r, rooms_[me].get());
      });
      if (tiles) for_products.on();
      team_.barrier();
      multiply(mixed_, s.rows, layer.o, counters_[c++], added);
      team_.barrier();
      normed(layer.between.get());
      multiply(a_, s.rows, layer.gated, counters_[c++], [&](int row, int p, const float* v) {
        const __m512 gate = _mm512_load_ps(v), one = _mm512_set1_ps(1.0f);
        const __m512 below = _mm512_add_ps(one, exp16(_mm512_sub_ps(_mm512_setzero_ps(), gate)));
        put16(h_.at(row, p * 16), _mm512_mul_ps(quotient(gate, below, T()), _mm512_load_ps(v + 16)));
      });
      team_.barrier();
      multiply(h_, s.rows, layer.down, counters_[c++], added);
      team_.barrier();
    }
    share(counters_[c++], s.lasts, 8, [&](int i) { norm(x_.get() + static_cast<size_t>(s.last[i]) * hidden, final_.get(), ends_, i); });
    team_.barrier();
    multiply(ends_, s.lasts, head_, counters_[c++], [&](int row, int p, const float* v) {
      float* to = logits_.get() + static_cast<size_t>(row) * vocab_ + p * WIDE;
      _mm512_stream_ps(to, _mm512_load_ps(v));  // not read again soon: past the caches
      _mm512_stream_ps(to + 16, _mm512_load_ps(v + 16));
    });
    _mm_sfence();
    team_.barrier();
    share(counters_[c++], s.draws, 1, [&](int i) {
      const float* logits = logits_.get() + static_cast<size_t>(s.of[i]) * vocab_;
      s.tokens[i] = pick(logits, s_.vocab, s.samplings[i], uniform(s.keys[i], s.places[i]), benches_[me]);
    });
    if (s.logits)
      share(counters_[c++], s.lasts, 1, [&](int i) {
        std::memcpy(s.logits + static_cast<size_t>(i) * s_.vocab, logits_.get() + static_cast<size_t>(i) * vocab_, sizeof(float) * s_.vocab);
      });
    if (tiles) _tile_release();
  }

  const Shape s_;
  const int q_, kv_, vocab_;  // vocab_: a row of logits, whole panels
  Cache<T> cache_;
  Weights<T> head_;
  Memory<T> table_;
  Memory<float> final_, turns_;
  std::vector<Layer> layers_;
  Team team_;
  std::vector<Counter> counters_;
  std::vector<Memory<float>> rooms_;
  std::vector<Bench> benches_;
  size_t rows_ = 0, lasts_ = 0;
  Memory<float> x_, qkv_, logits_;
  Memory<T> queries_;
  Rows<T> a_, mixed_, h_, ends_;
};

thread_local std::string said;

template <class Do>
int guarded(Do work) {
  try {
    work();
    return 0;
  } catch (const std::exception& e) {
    said = e.what();
    return 1;
  }
}

}  // namespace instar

using namespace instar;

extern "C" {

const char* instar_error() { return said.c_str(); }

Llama* instar_open(const Shape* shape, int bits) {
  Llama* made = nullptr;
  guarded([&] {
    if (bits == 16) {
      if (syscall(SYS_arch_prctl, 0x1023, 18)) throw std::runtime_error("the system does not let this process use AMX");
      made = new Typed<bf16>(*shape);
    } else {
      made = new Typed<float>(*shape);
    }
  });
  return made;
}
int instar_set(Llama* model, const char* part, int layer, const float* rows, int from, int count) {
  return guarded([&] { model->set(part, layer, rows, from, count); });
}
int instar_step(Llama* model, const Step* step) {
  return guarded([&] { model->step(*step); });
}
void instar_copy(Llama* model, int from, int to) { model->copy(from, to); }
void instar_close(Llama* model) { delete model; }
}
