// Products of activations with a weight matrix: AMX tiles for bfloat16, AVX-512 for float32.
//
// A weight matrix [out, in] is kept as panels of 32 outputs, each panel in the order in which it is read. A sum runs
// over `in` from its beginning to its end in one accumulator, whatever the number of rows: what a row gives does not
// depend on the rows beside it.
#pragma once
#include <algorithm>
#include <vector>

#include "numbers.h"
#include "team.h"

namespace instar {

constexpr int WIDE = 32;   // outputs of one panel, and rows of one block
constexpr int DEEP = 32;   // inputs of one tile

template <class T>
struct Weights {
  int out = 0, in = 0, panels = 0, deep = 0;  // deep: `in` rounded up to a whole tile
  Memory<T> data;

  Weights() = default;
  Weights(int out, int in)
      : out(out), in(in), panels(static_cast<int>(up(out, WIDE) / WIDE)), deep(static_cast<int>(up(in, DEEP))),
        data(static_cast<size_t>(panels) * WIDE * deep) {}

  T* panel(int p) const { return data.get() + static_cast<size_t>(p) * WIDE * deep; }
  T& at(int o, int i) const;

  // Row `row` of a float32 matrix becomes output `o`.
  void set(int o, const float* row) const {
    for (int i = 0; i < in; i++) put(&at(o, i), row[i]);
  }
};

// [input block of 32][half of the panel][pair of inputs][output][input of the pair]: two AMX tiles after each other
template <>
inline bf16& Weights<bf16>::at(int o, int i) const {
  const int c = o % WIDE;
  return panel(o / WIDE)[static_cast<size_t>(i / DEEP) * DEEP * WIDE + (c / 16) * 512 + (i % DEEP / 2) * 32 + (c % 16) * 2 + i % 2];
}
template <>
inline float& Weights<float>::at(int o, int i) const {
  return panel(o / WIDE)[static_cast<size_t>(i) * WIDE + o % WIDE];
}

struct alignas(64) Block {
  float v[WIDE][WIDE];  // [row][output]
};

// The shapes of the eight tiles, for this thread, until they are set anew.
struct alignas(64) Tiles {
  uint8_t palette = 1, start = 0, rest[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};

  Tiles() {
    for (int i = 0; i < 8; i++) bytes[i] = 64, rows[i] = 16;
  }
  void on() const { _tile_loadconfig(this); }
};

// Activations [rows, in] as they are multiplied: [input block of 32][row][input], so that an AMX tile is one piece.
template <class T>
struct Rows {
  int apart = 0;  // rows from one input block to the next: not a power of two, or all blocks of a row meet in one set of the cache
  Memory<T> data;

  Rows() = default;
  Rows(int rows, int in) : apart(static_cast<int>(up(rows, WIDE)) + 3), data(static_cast<size_t>(apart) * up(in, DEEP)) {}

  T* at(int row, int i) const { return data.get() + (static_cast<size_t>(i / DEEP) * apart + row) * DEEP + i % DEEP; }
};

// One block: rows `row` to `row + 32` (or 16) of x, one panel. `beside(step, steps)` is called between the tiles: the
// vector units work while the tiles multiply. `ahead` is fetched into the second cache meanwhile. Inputs `from` to `to`;
// those before are in `out` already.
template <class Beside>
inline void block(const Rows<bf16>& x, int row, int rows, const bf16* panel, int from, int to, const char* ahead, size_t lines, Block& out, Beside beside) {
  const int steps = (to - from) / DEEP;
  const bool two = rows > 16;
  const size_t next = static_cast<size_t>(x.apart) * DEEP, each = (lines + steps - 1) / steps;
  const bf16* a = x.at(row, from);
  panel += static_cast<size_t>(from) * WIDE;
  if (from == 0) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, &out.v[0][0], sizeof(out.v[0]));
    _tile_loadd(1, &out.v[0][16], sizeof(out.v[0]));
    _tile_loadd(2, &out.v[16][0], sizeof(out.v[0]));
    _tile_loadd(3, &out.v[16][16], sizeof(out.v[0]));
  }
  for (int s = 0; s < steps; s++, panel += DEEP * WIDE, a += next) {
    for (size_t l = s * each; l < (s + 1) * each && l < lines; l++) _mm_prefetch(ahead + l * 64, _MM_HINT_T1);
    _tile_loadd(6, panel, 64);
    _tile_stream_loadd(4, a, 64);  // past the first cache, which then keeps the panel for the next block
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, panel + 512, 64);
    _tile_dpbf16ps(1, 4, 7);
    if (two) {
      _tile_stream_loadd(5, a + 16 * DEEP, 64);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    beside(s, steps);
  }
  _tile_stored(0, &out.v[0][0], sizeof(out.v[0]));
  _tile_stored(1, &out.v[0][16], sizeof(out.v[0]));
  if (two) {
    _tile_stored(2, &out.v[16][0], sizeof(out.v[0]));
    _tile_stored(3, &out.v[16][16], sizeof(out.v[0]));
  }
}

template <int R>
inline void strip(const Rows<float>& x, int row, const float* panel, int from, int to, float (*out)[WIDE]) {
  __m512 sum[R][2];
  for (int r = 0; r < R; r++) {
    sum[r][0] = from ? _mm512_load_ps(out[r]) : _mm512_setzero_ps();
    sum[r][1] = from ? _mm512_load_ps(out[r] + 16) : _mm512_setzero_ps();
  }
  panel += static_cast<size_t>(from) * WIDE;
  for (int in = from; in < to; in += DEEP) {
    const float* a = x.at(row, in);
    for (int i = 0; i < DEEP; i++, panel += WIDE) {
      const __m512 left = _mm512_load_ps(panel), right = _mm512_load_ps(panel + 16);
#pragma GCC unroll 12
      for (int r = 0; r < R; r++) {
        const __m512 v = _mm512_set1_ps(a[r * DEEP + i]);
        sum[r][0] = _mm512_fmadd_ps(v, left, sum[r][0]);
        sum[r][1] = _mm512_fmadd_ps(v, right, sum[r][1]);
      }
    }
  }
  for (int r = 0; r < R; r++) {
    _mm512_store_ps(out[r], sum[r][0]);
    _mm512_store_ps(out[r] + 16, sum[r][1]);
  }
}

template <class Beside>
inline void block(const Rows<float>& x, int row, int rows, const float* panel, int from, int to, const char* ahead, size_t lines, Block& out, Beside beside) {
  beside(0, 1);  // first: what it hands over may lie where this will go
  for (size_t l = 0; l < lines; l++) _mm_prefetch(ahead + l * 64, _MM_HINT_T1);
  int r = 0;
  for (; r + 12 <= rows; r += 12) strip<12>(x, row + r, panel, from, to, out.v + r);
  for (; r + 8 <= rows; r += 8) strip<8>(x, row + r, panel, from, to, out.v + r);
  for (; r + 3 <= rows; r += 3) strip<3>(x, row + r, panel, from, to, out.v + r);
  for (; r < rows; r++) strip<1>(x, row + r, panel, from, to, out.v + r);
}

// Inputs of a panel that are multiplied with all rows before the next ones: what of it the first cache holds.
template <class T>
constexpr int CHUNK = 32768 / (WIDE * sizeof(T)) / DEEP * DEEP;

// x [rows, in] times the weights; `each(row, panel, results)` gets the 32 results of a row and a panel. Every thread of
// a team calls it with the same pieces.
template <class T, class Each>
void multiply(const Rows<T>& x, int rows, const Weights<T>& w, Pieces& pieces, int me, Each each) {
  static thread_local std::vector<Block> results;
  const int blocks = (rows + WIDE - 1) / WIDE;
  // a panel that is a little larger than the cache is better off in one go
  const int chunks = w.deep <= CHUNK<T> * 5 / 4 ? 1 : (w.deep + CHUNK<T> - 1) / CHUNK<T>;
  const int depth = static_cast<int>(up((w.deep + chunks - 1) / chunks, DEEP));
  if (results.size() < static_cast<size_t>(std::max(blocks, 2))) results.resize(std::max(blocks, 2));
  const Block* before = nullptr;  // finished, but not yet handed over
  int row_before = 0, n_before = 0, p_before = 0;
  const auto finish = [&](int s, int steps) {
    if (!before) return;
    for (int r = n_before * s / steps; r < n_before * (s + 1) / steps; r++) each(row_before + r, p_before, before->v[r]);
    if (s + 1 == steps) before = nullptr;
  };
  for (int p = pieces.take(me, w.panels); p < w.panels;) {
    const int next = pieces.take(me, w.panels);  // taken early: its weights come from memory while this one is multiplied
    const char* ahead = next < w.panels ? reinterpret_cast<const char*>(w.panel(next)) : nullptr;
    const size_t lines = ahead ? sizeof(T) * WIDE * w.deep / 64 : 0;
    for (int i = 0; i < chunks * blocks; i++) {
      const int chunk = i / blocks, b = i % blocks, row = b * WIDE, n = rows - row < WIDE ? rows - row : WIDE;
      const size_t from = lines * i / (chunks * blocks), to = lines * (i + 1) / (chunks * blocks);
      Block& out = results[chunks == 1 ? b % 2 : b];
      block(x, row, n, w.panel(p), chunk * depth, std::min(w.deep, (chunk + 1) * depth), ahead + from * 64, to - from, out, finish);
      if (chunk + 1 < chunks) continue;
      before = &out, row_before = row, n_before = n, p_before = p;
    }
    p = next;
  }
  finish(0, 1);
}

}  // namespace instar
