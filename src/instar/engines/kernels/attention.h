// Keys and values in pages of 16 positions, and the attention of one token over the pages of its sequence.
//
// A page belongs to one layer; keys lie dimension by dimension, so that one instruction meets 16 positions, values
// position by position, so that it meets 16 dimensions. In bfloat16 two dimensions (two positions) lie side by side,
// as the processor's dot product wants them. Sequences with the same beginning share its pages.
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
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  const __mmask32 mine = slot % 2 ? 0xaaaaaaaa : 0x55555555;
  alignas(32) uint32_t pairs[8];
  for (int d = 0; d < size; d += 16) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(pairs), (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(k + d)));
    for (int i = 0; i < 8; i++) std::memcpy(keys + (d / 2 + i) * 2 * PAGE + slot * 2, &pairs[i], 4);
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(v + d)));
    const __m512i both = _mm512_or_si512(low, _mm512_and_si512(upper, _mm512_slli_epi32(low, 16)));
    _mm512_mask_storeu_epi16(values + (slot / 2) * 2 * size + d * 2, mine, both);
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

// The tiles of attention: 0 to 3 results, 4 queries, 6 chances (a row for each query head); 5 keys, 7 values.
inline Tiles attention_tiles(int group) {
  Tiles t;
  for (int i : {0, 1, 2, 3, 4, 6}) t.rows[i] = static_cast<uint8_t>(std::min(group, 16));
  t.bytes[6] = PAGE * 2;
  t.rows[7] = PAGE / 2;
  return t;
}
constexpr int TOGETHER = 16;  // query heads of one call

// `group` query heads (16 at most) that read one key and value head: q [group, size], `count` positions in the pages of
// `table`; the results are numbers `first` and on of row `row` of `out`. `room` has 16 lines of whole pages.
inline void attend_some(const Cache<bf16>& cache, int layer, int head, const int32_t* table, int count, const bf16* q, const Rows<bf16>& out,
                        int row, int first, int group, float* room) {
  const int size = cache.size, pages = (count + PAGE - 1) / PAGE;
  const long stride = static_cast<long>(pages) * PAGE * 4;
  for (int p = 0; p < pages; p++) {
    const bf16* keys = cache.keys(layer, table[p], head);
    _tile_zero(0);
    for (int d = 0; d < size; d += DEEP) {
      _tile_loadd(4, q + d, size * 2);
      _tile_loadd(5, keys + d * PAGE, 64);
      _tile_dpbf16ps(0, 4, 5);
    }
    _tile_stored(0, room + p * PAGE, stride);
  }
  float total[TOGETHER];
  for (int g = 0; g < group; g++) total[g] = soften<bf16>(room + g * pages * PAGE, count);
  alignas(64) float mixed[4][TOGETHER][16];
  for (int d0 = 0; d0 < size; d0 += 64) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int p = 0; p < pages; p++) {
      const bf16* values = cache.values(layer, table[p], head) + d0 * 2;
      _tile_loadd(6, reinterpret_cast<const bf16*>(room) + p * PAGE, stride);
      _tile_loadd(7, values, size * 4);
      _tile_dpbf16ps(0, 6, 7);
      _tile_loadd(7, values + 32, size * 4);
      _tile_dpbf16ps(1, 6, 7);
      if (size - d0 < 64) continue;
      _tile_loadd(7, values + 64, size * 4);
      _tile_dpbf16ps(2, 6, 7);
      _tile_loadd(7, values + 96, size * 4);
      _tile_dpbf16ps(3, 6, 7);
    }
    _tile_stored(0, mixed[0], 64);
    _tile_stored(1, mixed[1], 64);
    _tile_stored(2, mixed[2], 64);
    _tile_stored(3, mixed[3], 64);
    for (int d = 0; d < 64 && d0 + d < size; d += 16)
      for (int g = 0; g < group; g++)
        put16(out.at(row, first + g * size + d0 + d), _mm512_div_ps(_mm512_load_ps(mixed[d / 16][g]), _mm512_set1_ps(total[g])));
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
inline void attend_some(const Cache<float>& cache, int layer, int head, const int32_t* table, int count, const float* q, const Rows<float>& out,
                        int row, int first, int group, float* room) {
  for (int g = 0; g < group; g += 4) {
    const float* mine = q + g * cache.size;
    const int at = first + g * cache.size;
    switch (group - g) {
      case 1: attend_exactly<1>(cache, layer, head, table, count, mine, out, row, at, room); break;
      case 2: attend_exactly<2>(cache, layer, head, table, count, mine, out, row, at, room); break;
      case 3: attend_exactly<3>(cache, layer, head, table, count, mine, out, row, at, room); break;
      default: attend_exactly<4>(cache, layer, head, table, count, mine, out, row, at, room);
    }
  }
}

// All query heads of one key and value head.
template <class T>
void attend(const Cache<T>& cache, int layer, int head, const int32_t* table, int count, const T* q, const Rows<T>& out, int row, int first, int group, float* room) {
  for (int g = 0; g < group; g += TOGETHER)
    attend_some(cache, layer, head, table, count, q + g * cache.size, out, row, first + g * cache.size, std::min(group - g, TOGETHER), room);
}

// Ask memory for what one head of a later row will read.
template <class T>
void fetch(const Cache<T>& cache, int layer, int head, const int32_t* table, int from, int count) {
  const size_t bytes = sizeof(T) * 2 * PAGE * cache.size;
  for (int p = from; p <= (count - 1) / PAGE; p++) {
    const char* page = reinterpret_cast<const char*>(cache.keys(layer, table[p], head));
    for (size_t b = 0; b < bytes; b += 64) _mm_prefetch(page + b, _MM_HINT_T1);
  }
}

}  // namespace instar
