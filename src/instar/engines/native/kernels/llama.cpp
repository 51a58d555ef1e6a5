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

constexpr int MOST_HEAD = 512, FEW = 256;

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
        team_(s.threads), rooms_(s.threads), factors_(s.threads), benches_(s.threads), found_(s.threads) {
    for (int l = 0; l < s.layers; l++) layers_.emplace_back(s, q_, kv_);
    for (int i = 0; i < s.layers * 6 + 6; i++) pieces_.emplace_back(s.threads);
    for (auto& r : rooms_) r = Memory<float>(attention_room(s.context, s.head, s.heads / s.kv_heads));
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
    most_.assign(s.lasts, 1);
    for (int i = 0; i < s.draws; i++) most_[s.of[i]] = std::max(most_[s.of[i]], wanted(s.samplings[i], s_.vocab));
    // few words to draw from: they are picked out while the logits are made, which are not kept
    few_ = !s.logits && s.lasts && *std::max_element(most_.begin(), most_.end()) <= FEW;
    reserve(s.rows, s.lasts);
    for (auto& p : pieces_) p.reset();
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
      qkv_ = Memory<T>(n * (q_ + 2 * kv_));
      squares_ = Memory<float>(n * (up(s_.hidden, WIDE) / WIDE));
      for (auto& f : factors_) f = Memory<float>(n);
      queries_ = Memory<T>(n * q_);
      a_ = Rows<T>(rows, s_.hidden);
      mixed_ = Rows<T>(rows, q_);
      h_ = Rows<T>(rows, s_.inner);
    }
    if (!few_ && m > kept_) {
      kept_ = m;
      logits_ = Memory<float>(m * vocab_);
    }
    if (m > lasts_) {
      lasts_ = m;
      for (auto& f : found_) f.resize(m);
      ends_ = Rows<T>(lasts, s_.hidden);
    }
  }

  template <class Do>
  void share(Pieces& pieces, int me, int count, int size, Do each) {
    const int all = (count + size - 1) / size;
    for (int p = pieces.take(me, all); p < all; p = pieces.take(me, all))
      for (int i = p * size; i < (p + 1) * size && i < count; i++) each(i);
  }

  void embed(int token, float* x) const {
    if (s_.tied)
      for (int i = 0; i < s_.hidden; i++) x[i] = widened(head_.at(token, i));
    else
      for (int i = 0; i < s_.hidden; i++) x[i] = widened(table_[static_cast<size_t>(token) * s_.hidden + i]);
  }

  // A norm is the division of a row by its length and a product with a vector. The product is done where the row is
  // made; the division is left to what the row is multiplied with, for it can be done at the end of a sum as well.
  // `part` [panel][row] gets the sums of squares.
  void ready(const float* x, const float* weight, int row, int panel) {
    const int at = panel * WIDE, width = std::min(WIDE, s_.hidden - at);
    __m512 sum = _mm512_setzero_ps();
    for (int i = at; i < at + width; i += 16) {
      const __m512 v = _mm512_loadu_ps(x + i);
      sum = _mm512_fmadd_ps(v, v, sum);
      put16(a_.at(row, i), _mm512_mul_ps(v, _mm512_loadu_ps(weight + i)));
    }
    squares_[static_cast<size_t>(panel) * rows_ + row] = _mm512_reduce_add_ps(sum);
  }

  // One over the length of each row (the root of the mean square).
  void lengths(int rows, float* out) const {
    const int panels = (s_.hidden + WIDE - 1) / WIDE;
    for (int r = 0; r < rows; r += 16) {
      __m512 sum = _mm512_setzero_ps();
      for (int p = 0; p < panels; p++) sum = _mm512_add_ps(sum, _mm512_loadu_ps(&squares_[static_cast<size_t>(p) * rows_ + r]));
      const __m512 mean = _mm512_div_ps(sum, _mm512_set1_ps(static_cast<float>(s_.hidden)));
      _mm512_storeu_ps(out + r, _mm512_div_ps(_mm512_set1_ps(1.0f), _mm512_sqrt_ps(_mm512_add_ps(mean, _mm512_set1_ps(s_.eps)))));
    }
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
    const T* from = qkv_.get() + static_cast<size_t>(row) * (q_ + 2 * kv_);
    const int position = s.positions[row], size = s_.head;
    const float* turns = turns_.get() + static_cast<size_t>(position) * size;
    const int page = table(s, row)[position / PAGE];
    const float factor = 1.0f / std::sqrt(static_cast<float>(size));
    alignas(64) float plain[MOST_HEAD], turned[MOST_HEAD];
    const auto widen = [&](const T* at) {
      for (int i = 0; i < size; i += 16) _mm512_store_ps(plain + i, get16(at + i));
    };
    T* q = queries_.get() + static_cast<size_t>(row) * q_;
    for (int h = 0; h < s_.heads; h++) {
      widen(from + h * size);
      turn(plain, turns, factor, turned);
      for (int i = 0; i < size; i += 16) put16(q + h * size + i, _mm512_load_ps(turned + i));
    }
    for (int h = 0; h < s_.kv_heads; h++) {
      widen(from + q_ + h * size);
      turn(plain, turns, 1.0f, turned);
      widen(from + q_ + kv_ + h * size);
      remember(cache_.keys(layer, page, h), cache_.values(layer, page, h), position % PAGE, turned, plain, size);
    }
  }

  // Rows `from` to `to`: those that begin with the same pages together.
  void attention(const Step& s, int layer, int from, int to, float* room) const {
    const int group = s_.heads / s_.kv_heads;
    Token tokens[2 * TOKENS];
    const auto token = [&](int row) { return Token{table(s, row), s.positions[row] + 1, row}; };
    for (int row = from, n, common; row < to; row += n) {
      for (n = 0, common = 0; row + n < to; n++) {
        tokens[n] = token(row + n);
        const int with = n ? shared(tokens[0], tokens[n]) : 0;
        if (n && (with == 0 || with < common)) break;
        if (n == 1) common = with;
      }
      const int after = s.alone ? std::min(TOKENS, s.rows - row - n) : 0;
      for (int t = 0; t < after; t++) tokens[n + t] = token(row + n + t);
      for (int h = 0; h < s_.kv_heads; h++)
        attend(cache_, layer, h, tokens, n, after, common, queries_.get(), q_, h * group * s_.head, group, mixed_, room);
    }
  }

  void walk(const Step& s, int me) {
    constexpr bool tiles = sizeof(T) == 2;
    const Tiles for_products;
    if (tiles) for_products.on();
    size_t c = 0;
    const int hidden = s_.hidden, all = q_ + 2 * kv_;
    float* factors = factors_[me].get();
    const auto add = [&](int row, int p, const float* v, const float* weight) {
      const int at = p * WIDE, width = std::min(WIDE, hidden - at);
      float* x = x_.get() + static_cast<size_t>(row) * hidden;
      for (int i = 0; i < width; i += 16) _mm512_storeu_ps(x + at + i, _mm512_add_ps(_mm512_loadu_ps(x + at + i), _mm512_load_ps(v + i)));
      if (weight) ready(x, weight, row, p);
    };
    share(pieces_[c++], me, s.rows, 8, [&](int r) {
      float* x = x_.get() + static_cast<size_t>(r) * hidden;
      embed(s.ids[r], x);
      for (int p = 0; p * WIDE < hidden; p++) ready(x, layers_[0].before.get(), r, p);
    });
    team_.barrier();
    for (int l = 0; l < s_.layers; l++) {
      const Layer& layer = layers_[l];
      const float* next = l + 1 < s_.layers ? layers_[l + 1].before.get() : nullptr;
      lengths(s.rows, factors);
      multiply(a_, s.rows, layer.qkv, pieces_[c++], me, [&](int row, int p, const float* v) {
        const int at = p * WIDE, width = std::min(WIDE, all - at);
        const __m512 factor = _mm512_set1_ps(factors[row]);
        T* to = qkv_.get() + static_cast<size_t>(row) * all + at;
        for (int i = 0; i < width; i += 16) put16(to + i, _mm512_mul_ps(_mm512_load_ps(v + i), factor));
      });
      team_.barrier();
      if (!s.alone) {  // rows of one sequence see each other: all must be in the cache first
        share(pieces_[c++], me, s.rows, 8, [&](int r) { place(s, l, r); });
        team_.barrier();
      }
      share(pieces_[c++], me, (s.rows + TOKENS - 1) / TOKENS, 1, [&](int piece) {
        const int from = piece * TOKENS, to = std::min(from + TOKENS, s.rows);
        for (int r = from; s.alone && r < to; r++) place(s, l, r);
        attention(s, l, from, to, rooms_[me].get());
      });
      if (tiles) for_products.on();
      team_.barrier();
      multiply(mixed_, s.rows, layer.o, pieces_[c++], me, [&](int row, int p, const float* v) { add(row, p, v, layer.between.get()); });
      team_.barrier();
      lengths(s.rows, factors);
      multiply(a_, s.rows, layer.gated, pieces_[c++], me, [&](int row, int p, const float* v) {
        const __m512 factor = _mm512_set1_ps(factors[row]), one = _mm512_set1_ps(1.0f);
        const __m512 gate = _mm512_mul_ps(_mm512_load_ps(v), factor), other = _mm512_mul_ps(_mm512_load_ps(v + 16), factor);
        const __m512 below = _mm512_add_ps(one, exp16(_mm512_sub_ps(_mm512_setzero_ps(), gate)));
        put16(h_.at(row, p * 16), _mm512_mul_ps(quotient(gate, below, T()), other));
      });
      team_.barrier();
      multiply(h_, s.rows, layer.down, pieces_[c++], me, [&](int row, int p, const float* v) { add(row, p, v, next); });
      team_.barrier();
    }
    share(pieces_[c++], me, s.lasts, 8, [&](int i) { norm(x_.get() + static_cast<size_t>(s.last[i]) * hidden, final_.get(), ends_, i); });
    team_.barrier();
    if (few_) {
      auto& mine = found_[me];
      for (int i = 0; i < s.lasts; i++) mine[i].begin(most_[i]);
      multiply(ends_, s.lasts, head_, pieces_[c++], me, [&](int row, int p, const float* v) { mine[row].offer(v, p * WIDE, s_.vocab - p * WIDE); });
      team_.barrier();
      share(pieces_[c++], me, s.draws, 1, [&](int i) {
        Bench& bench = benches_[me];
        bench.begin();
        for (const auto& f : found_) bench.take(f[s.of[i]]);
        s.tokens[i] = pick(s.samplings[i], s_.vocab, uniform(s.keys[i], s.places[i]), bench);
      });
    } else {
      multiply(ends_, s.lasts, head_, pieces_[c++], me, [&](int row, int p, const float* v) {
        float* to = logits_.get() + static_cast<size_t>(row) * vocab_ + p * WIDE;
        _mm512_stream_ps(to, _mm512_load_ps(v));  // not read again soon: past the caches
        _mm512_stream_ps(to + 16, _mm512_load_ps(v + 16));
      });
      _mm_sfence();
      team_.barrier();
      share(pieces_[c++], me, s.draws, 1, [&](int i) {
        const float* logits = logits_.get() + static_cast<size_t>(s.of[i]) * vocab_;
        s.tokens[i] = pick(logits, s_.vocab, s.samplings[i], uniform(s.keys[i], s.places[i]), benches_[me]);
      });
    }
    if (s.logits)
      share(pieces_[c++], me, s.lasts, 1, [&](int i) {
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
  std::vector<Pieces> pieces_;  // of every phase of a step
  std::vector<Memory<float>> rooms_, factors_;
  std::vector<Bench> benches_;
  std::vector<std::vector<Likeliest>> found_;  // of each thread, a row of logits each
  std::vector<int> most_;
  bool few_ = false;
  size_t kept_ = 0;
  size_t rows_ = 0, lasts_ = 0;
  Memory<float> x_, squares_, logits_;
  Memory<T> qkv_, queries_;
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
