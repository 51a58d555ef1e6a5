// The two kinds of numbers that weights, activations and caches are held in, and memory for many of them.
#pragma once
#include <cstdint>
#include <cstring>
#include <immintrin.h>
#include <new>
#include <sys/mman.h>
#include <utility>

namespace instar {

struct bf16 {
  uint16_t bits;
};

inline bf16 rounded(float x) {  // to nearest, ties to even; what is not a number stays one
  uint32_t u;
  std::memcpy(&u, &x, 4);
  if ((u & 0x7fffffff) > 0x7f800000) return {static_cast<uint16_t>((u >> 16) | 0x40)};
  return {static_cast<uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16)};
}

inline float widened(bf16 x) {
  const uint32_t u = static_cast<uint32_t>(x.bits) << 16;
  float out;
  std::memcpy(&out, &u, 4);
  return out;
}
inline float widened(float x) { return x; }

inline void put(bf16* to, float x) { *to = rounded(x); }
inline void put(float* to, float x) { *to = x; }

inline void put16(bf16* to, __m512 x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(x)); }
inline void put16(float* to, __m512 x) { _mm512_storeu_ps(to, x); }

inline __m512 get16(const bf16* from) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))), 16));
}
inline __m512 get16(const float* from) { return _mm512_loadu_ps(from); }

inline size_t up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// exp of 16 numbers, to a few units in the last place (Cephes' polynomial); below -87 it is 0.
inline __m512 exp16(__m512 x) {
  const __m512 low = _mm512_set1_ps(-87.0f);
  const __mmask16 in = _mm512_cmp_ps_mask(x, low, _CMP_GE_OQ);
  x = _mm512_min_ps(_mm512_max_ps(x, low), _mm512_set1_ps(88.0f));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341f)), 8);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
  return _mm512_maskz_scalef_ps(in, p, n);
}

// Zeros, taken from the system page by page as they are first written, in large pages where it has them.
template <class T>
class Memory {
 public:
  Memory() = default;
  explicit Memory(size_t count) : bytes_(up(count * sizeof(T) + 4096, 1 << 21)) {
    void* p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    madvise(p, bytes_, MADV_HUGEPAGE);
    data_ = static_cast<T*>(p);
  }
  Memory(Memory&& other) noexcept { swap(other); }
  Memory& operator=(Memory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Memory() {
    if (data_) munmap(data_, bytes_);
  }
  T* get() const { return data_; }
  T& operator[](size_t i) const { return data_[i]; }

 private:
  void swap(Memory& other) {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  T* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace instar
