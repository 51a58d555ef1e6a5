// Keys and values in pages of 16 positions, and the attention of one token over the pages of its sequence.
//
// A page belongs to one layer. In bfloat16, keys lie position by position (the left side of a product of tiles) and
// values by pairs of positions (the right side); in float32, keys dimension by dimension, values position by position.
// Sequences with the same beginning share its pages.
#pragma once
#include <algorithm>

#include "product.h"

namespace instar {

constexpr int PAGE = 16;

template <class T>
struct Cache {
  int layers = 0, heads = 0, size = 0, pages = 0;  // size: of one head, a multiple of 32
  Memory<T> data;

  Cache() = default;
  Cache(int layers, int heads, int size, int pages)
      : layers(layers), heads(heads), size(size), pages(pages), data(static_cast<size_t>(layers) * pages * page_numbers()) {}

  size_t page_numbers() const { return static_cast<size_t>(heads) * 2 * PAGE * size; }
  T* keys(int layer, int page, int head) const {
    return data.get() + (static_cast<size_t>(layer) * pages + page) * page_numbers() + static_cast<size_t>(head) * 2 * PAGE * size;
  }
  T* values(int layer, int page, int head) const { return keys(layer, page, head) + PAGE * size; }

  void copy(int from, int to) const {
    for (int l = 0; l < layers; l++) std::memcpy(keys(l, to, 0), keys(l, from, 0), page_numbers() * sizeof(T));
  }
};

// k and v [size] of one position become slot `slot` of a page. No other slot is touched: another thread may be at it.
inline void remember(bf16* keys, bf16* values, int slot, const float* k, const float* v, int size) {
  const __mmask32 mine = slot % 2 ? 0xaaaaaaaa : 0x55555555;
  for (int d = 0; d < size; d += 16) {
    put16(keys + slot * size + d, _mm512_loadu_ps(k + d));
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(v + d)));
    _mm512_mask_storeu_epi16(values + (slot / 2) * 2 * size + d * 2, mine, _mm512_or_si512(low, _mm512_slli_epi32(low, 16)));
  }
}
inline void remember(float* keys, float* values, int slot, const float* k, const float* v, int size) {
  for (int d = 0; d < size; d++) {
    keys[d * PAGE + slot] = k[d];
    values[slot * size + d] = v[d];
  }
}

// Scores become chances, as numbers of type T behind each other from the beginning of the line on; gives their sum.
// `line` has whole pages, of which `count` positions are there.
template <class T>
inline float soften(float* line, int count) {
  const int whole = static_cast<int>(up(count, PAGE));
  for (int i = count; i < whole; i++) line[i] = -1e30f;  // a page's last places: not written yet, or not to be seen
  __m512 most = _mm512_loadu_ps(line), sum = _mm512_setzero_ps();
  for (int i = 16; i < whole; i += 16) most = _mm512_max_ps(most, _mm512_loadu_ps(line + i));
  const __m512 top = _mm512_set1_ps(_mm512_reduce_max_ps(most));
  for (int i = 0; i < whole; i += 16) {
    const __m512 e = exp16(_mm512_sub_ps(_mm512_loadu_ps(line + i), top));
    sum = _mm512_add_ps(sum, e);
    put16(reinterpret_cast<T*>(line) + i, e);  // behind what is still to be read
  }
  return _mm512_reduce_add_ps(sum);
}

// Tiles of scores: 0 and 1 results, 2 and 3 queries (of 16 lines, of `group`), 4 keys.
inline Tiles score_tiles(int group) {
  Tiles t;
  t.bytes[1] = t.bytes[3] = static_cast<uint16_t>(group * 4);
  return t;
}
// Tiles of mixtures: 0 to 3 results, 6 chances (`lines` of each), 7 values.
inline Tiles mixture_tiles(int lines) {
  Tiles t;
  for (int i : {0, 1, 2, 3, 6}) t.rows[i] = static_cast<uint8_t>(lines);
  t.bytes[6] = PAGE * 2;
  t.rows[7] = PAGE / 2;
  return t;
}

// 16 lines of 16 numbers of 32 bits, turned: out[i] holds number i of every line.
inline void turn16(const float* const* lines, float* out, size_t stride) {
  __m512 r[16], t[16];
  for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_ps(lines[i]);
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; j++) {
      const __m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + j + 2]);
      r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
      r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; i++) {
    _mm512_storeu_ps(out + i * stride, _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88));
    _mm512_storeu_ps(out + (i + 4) * stride, _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88));
    _mm512_storeu_ps(out + (i + 8) * stride, _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd));
    _mm512_storeu_ps(out + (i + 12) * stride, _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd));
  }
}

// Tokens that are attended for together, because their sequences begin with the same pages: what those hold is read
// once for all. `lines` = tokens times query heads of one key and value head.
constexpr int TOKENS = 8, MOST_GROUP = 16, MOST_LINES = TOKENS * MOST_GROUP;

struct Token {
  const int32_t* table;
  int count, row;  // positions seen; row of the step
};

// How many whole pages, all seen by both, two tokens have in common at their beginning.
inline int shared(const Token& a, const Token& b) {
  const int most = std::min(a.count, b.count) / PAGE;
  int n = 0;
  while (n < most && a.table[n] == b.table[n]) n++;
  return n;
}

// Scores of a page's 16 positions for lines `line` on (16 of them, or one group): queries [pair of dimensions][all lines],
// to `scores` [position][all lines]. The numbers of tiles must be written out.
template <bool ONE>
inline void score(const bf16* keys, int size, const float* queries, int line, size_t all, float* scores) {
  const long apart = static_cast<long>(all) * 4;
  if constexpr (ONE) {
    _tile_zero(1);
    for (int d = 0; d < size; d += DEEP) {
      _tile_loadd(3, queries + d / 2 * all + line, apart);
      _tile_loadd(4, keys + d, size * 2);
      _tile_dpbf16ps(1, 4, 3);
    }
    _tile_stored(1, scores + line, apart);
  } else {
    _tile_zero(0);
    for (int d = 0; d < size; d += DEEP) {
      _tile_loadd(2, queries + d / 2 * all + line, apart);
      _tile_loadd(4, keys + d, size * 2);
      _tile_dpbf16ps(0, 4, 2);
    }
    _tile_stored(0, scores + line, apart);
  }
}

// Adds chances times values of pages p0 to p1 to `mixed` [lines, size].
inline void weigh(const Cache<bf16>& cache, int layer, int head, const int32_t* table, int p0, int p1, const float* room, size_t stride, float* mixed) {
  const int size = cache.size;
  for (int d = 0; d < size; d += 64) {
    const bool four = size - d >= 64;
    float* to = mixed + d;
    if (p0 == 0) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    } else {
      _tile_loadd(0, to, size * 4);
      _tile_loadd(1, to + 16, size * 4);
      if (four) {
        _tile_loadd(2, to + 32, size * 4);
        _tile_loadd(3, to + 48, size * 4);
      }
    }
    for (int p = p0; p < p1; p++) {
      const bf16* values = cache.values(layer, table[p], head) + d * 2;
      _tile_loadd(6, reinterpret_cast<const bf16*>(room) + p * PAGE, static_cast<long>(stride) * 4);
      _tile_loadd(7, values, size * 4);
      _tile_dpbf16ps(0, 6, 7);
      _tile_loadd(7, values + 32, size * 4);
      _tile_dpbf16ps(1, 6, 7);
      if (!four) continue;
      _tile_loadd(7, values + 64, size * 4);
      _tile_dpbf16ps(2, 6, 7);
      _tile_loadd(7, values + 96, size * 4);
      _tile_dpbf16ps(3, 6, 7);
    }
    _tile_stored(0, to, size * 4);
    _tile_stored(1, to + 16, size * 4);
    if (four) {
      _tile_stored(2, to + 32, size * 4);
      _tile_stored(3, to + 48, size * 4);
    }
  }
}

// Memory that is wanted soon, asked for a little at a time: the processor has few places for what is on its way, and
// who fills them all at once only waits.
class Soon {
 public:
  explicit Soon(int ticks) : ticks_(ticks) {}

  void add(const void* from, size_t bytes) {
    if (parts_ == MOST) return;
    from_[parts_] = static_cast<const char*>(from);
    lines_[parts_++] = static_cast<int>(bytes / 64);
    total_ += static_cast<int>(bytes / 64);
  }

  void tick() {
    tick_++;
    for (const int until = static_cast<int>(static_cast<long>(total_) * tick_ / ticks_); asked_ < until; asked_++) {
      while (part_ < parts_ && line_ == lines_[part_]) part_++, line_ = 0;
      if (part_ == parts_) return;
      _mm_prefetch(from_[part_] + static_cast<size_t>(line_++) * 64, _MM_HINT_T1);
    }
  }

 private:
  static constexpr int MOST = 64;
  const char* from_[MOST];
  int lines_[MOST], parts_ = 0, total_ = 0, ticks_, tick_ = 0, asked_ = 0, part_ = 0, line_ = 0;
};

// The results of `tokens` (`n`, all beginning with the same `common` whole pages) for the query heads of one key and
// value head: `queries` [row][first + head * size] to the same place of `out`. `after` tokens behind them are next.
inline void attend(const Cache<bf16>& cache, int layer, int head, const Token* tokens, int n, int after, int common, const bf16* queries, int width, int first,
                   int group, const Rows<bf16>& out, float* room) {
  if (group > MOST_GROUP) {  // more lines than a tile has: the heads in parts
    for (int g = 0; g < group; g += MOST_GROUP)
      attend(cache, layer, head, tokens, n, after, common, queries, width, first + g * cache.size, std::min(MOST_GROUP, group - g), out, room);
    return;
  }
  static const Tiles shared_mixtures = mixture_tiles(16);
  const Tiles scores = score_tiles(group), own_mixtures = mixture_tiles(group);
  const int size = cache.size, lines = n * group;
  int pages = 0, own[TOKENS];
  for (int t = 0; t < n; t++) pages = std::max(pages, own[t] = (tokens[t].count + PAGE - 1) / PAGE);
  const size_t stride = static_cast<size_t>(pages) * PAGE, all = up(lines, 16);
  float *by_position = room, *by_line = by_position + all * stride, *mixed = by_line + all * stride, *turned = mixed + all * size;

  const float *from[MOST_LINES], *part[16];
  for (size_t l = 0; l < all; l++) {
    const int line = std::min(static_cast<int>(l), lines - 1);
    from[l] = reinterpret_cast<const float*>(queries + static_cast<size_t>(tokens[line / group].row) * width + first + line % group * size);
  }
  for (size_t l = 0; l < all; l += 16)
    for (int d = 0; d < size / 2; d += 16) {
      for (int i = 0; i < 16; i++) part[i] = from[l + i] + d;
      turn16(part, turned + d * all + l, all);
    }
  scores.on();
  for (int p = 0; p < common; p++)
    for (int l = 0; l < lines; l += 16) score<false>(cache.keys(layer, tokens[0].table[p], head), size, turned, l, all, by_position + p * PAGE * all);
  for (int t = 0; t < n; t++)
    for (int p = common; p < own[t]; p++) score<true>(cache.keys(layer, tokens[t].table[p], head), size, turned, t * group, all, by_position + p * PAGE * all);
  Soon values(static_cast<int>(all / 16) * pages + lines);
  for (int t = 0; t < n; t++)
    for (int p = common; p < own[t]; p++) values.add(cache.values(layer, tokens[t].table[p], head), sizeof(bf16) * PAGE * size);
  for (size_t l = 0; l < all; l += 16)
    for (int p = 0; p < pages; p++) {
      values.tick();
      for (int i = 0; i < 16; i++) part[i] = by_position + (p * PAGE + i) * all + l;
      turn16(part, by_line + l * stride + p * PAGE, stride);
    }
  float total[MOST_LINES];
  for (int l = 0; l < lines; l++) {
    values.tick();
    total[l] = soften<bf16>(by_line + l * stride, tokens[l / group].count);
  }
  Soon keys(n + lines);  // of the next head, or of the first head of those that come after
  const auto want = [&](const Token& t, int page, int of) { keys.add(cache.keys(layer, t.table[page], of), sizeof(bf16) * PAGE * size); };
  for (int t = 0; t < n && head + 1 < cache.heads; t++)
    for (int p = common; p < own[t]; p++) want(tokens[t], p, head + 1);
  for (int t = 0; t < after && head + 1 == cache.heads; t++)
    for (int p = t ? shared(tokens[n], tokens[n + t]) : 0; p * PAGE < tokens[n + t].count; p++) want(tokens[n + t], p, 0);
  if (common) {
    shared_mixtures.on();
    for (int l = 0; l < lines; l += 16) weigh(cache, layer, head, tokens[0].table, 0, common, by_line + l * stride, stride, mixed + static_cast<size_t>(l) * size);
  }
  own_mixtures.on();
  for (int t = 0; t < n; t++) {
    const int l = t * group;
    keys.tick();
    float* to = mixed + static_cast<size_t>(l) * size;
    if (own[t] > common) weigh(cache, layer, head, tokens[t].table, common, own[t], by_line + l * stride, stride, to);
    for (int g = 0; g < group; g++) {
      keys.tick();
      const __m512 share = _mm512_set1_ps(1.0f / total[l + g]);
      for (int d = 0; d < size; d += 16) put16(out.at(tokens[t].row, first + g * size + d), _mm512_mul_ps(_mm512_loadu_ps(to + g * size + d), share));
    }
  }
}

template <int G>
void attend_exactly(const Cache<float>& cache, int layer, int head, const int32_t* table, int count, const float* q, const Rows<float>& out,
                    int row, int first, float* room) {
  const int size = cache.size, pages = (count + PAGE - 1) / PAGE;
  for (int p = 0; p < pages; p++) {
    const float* keys = cache.keys(layer, table[p], head);
    __m512 sum[2][G];  // two sums each: one addition is not begun before the last one into the same sum is through
    for (auto& part : sum)
      for (auto& s : part) s = _mm512_setzero_ps();
    for (int d = 0; d < size; d += 2)
#pragma GCC unroll 2
      for (int i = 0; i < 2; i++, keys += PAGE) {
        const __m512 k = _mm512_load_ps(keys);
#pragma GCC unroll 4
        for (int g = 0; g < G; g++) sum[i][g] = _mm512_fmadd_ps(k, _mm512_set1_ps(q[g * size + d + i]), sum[i][g]);
      }
    for (int g = 0; g < G; g++) _mm512_storeu_ps(room + (g * pages + p) * PAGE, _mm512_add_ps(sum[0][g], sum[1][g]));
  }
  float total[G];
  for (int g = 0; g < G; g++) total[g] = soften<float>(room + g * pages * PAGE, count);
  for (int d0 = 0; d0 < size; d0 += 32) {
    __m512 sum[2][G];
    for (auto& part : sum)
      for (auto& s : part) s = _mm512_setzero_ps();
    for (int p = 0; p < pages; p++) {
      const float* values = cache.values(layer, table[p], head) + d0;
      for (int s = 0; s < PAGE; s++)
#pragma GCC unroll 2
        for (int d = 0; d < 2; d++) {
          const __m512 v = _mm512_load_ps(values + s * size + d * 16);
#pragma GCC unroll 4
          for (int g = 0; g < G; g++) sum[d][g] = _mm512_fmadd_ps(v, _mm512_set1_ps(room[(g * pages + p) * PAGE + s]), sum[d][g]);
        }
    }
    for (int d = 0; d < 32; d += 16)
      for (int g = 0; g < G; g++) put16(out.at(row, first + g * size + d0 + d), _mm512_div_ps(sum[d / 16][g], _mm512_set1_ps(total[g])));
  }
}
inline void attend(const Cache<float>& cache, int layer, int head, const Token* tokens, int n, int, int, const float* queries, int width, int first,
                   int group, const Rows<float>& out, float* room) {
  for (int t = 0; t < n; t++) {
    const auto& [table, count, row] = tokens[t];
    const float* q = queries + static_cast<size_t>(row) * width + first;
    for (int g = 0; g < group; g += 4) {
      const int at = g * cache.size;
      switch (group - g) {
        case 1: attend_exactly<1>(cache, layer, head, table, count, q + at, out, row, first + at, room); break;
        case 2: attend_exactly<2>(cache, layer, head, table, count, q + at, out, row, first + at, room); break;
        case 3: attend_exactly<3>(cache, layer, head, table, count, q + at, out, row, first + at, room); break;
        default: attend_exactly<4>(cache, layer, head, table, count, q + at, out, row, first + at, room);
      }
    }
  }
}

// Numbers of room that `attend` needs at most.
inline size_t attention_room(int context, int size, int group) {
  return up(static_cast<size_t>(TOKENS) * group, 16) * (2 * up(context, PAGE) + 2 * size);
}

}  // namespace instar
