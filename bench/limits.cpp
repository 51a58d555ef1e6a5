// What this machine's units could do at most: AMX products in registers and from caches, and reading memory.
//
//   g++ -std=c++20 -O3 -march=sapphirerapids -pthread bench/limits.cpp -o /tmp/limits && /tmp/limits
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

struct alignas(64) Tiles {
  uint8_t palette = 1, start = 0, rest[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};
};

// Seconds that the slowest of `threads` took.
double slowest(int threads, const std::function<double()>& work) {
  std::vector<double> seconds(threads);
  std::vector<std::thread> all;
  for (int i = 0; i < threads; i++) all.emplace_back([&, i] { seconds[i] = work(); });
  for (auto& t : all) t.join();
  return *std::max_element(seconds.begin(), seconds.end());
}

// `kilobytes` of operands gone round; 0: they stay in registers.
double products(long times, size_t kilobytes) {
  Tiles tiles;
  for (int i = 0; i < 8; i++) tiles.bytes[i] = 64, tiles.rows[i] = 16;
  _tile_loadconfig(&tiles);
  char* data = static_cast<char*>(aligned_alloc(4096, 1 << 20));
  memset(data, 0, 1 << 20);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  const auto began = std::chrono::steady_clock::now();
  for (long i = 0; i < times; i++) {
    if (kilobytes) {
      const char* at = data + i % (kilobytes / 4) * 4096;
      _tile_loadd(4, at, 64);
      _tile_loadd(5, at + 1024, 64);
      _tile_loadd(6, at + 2048, 64);
      _tile_loadd(7, at + 3072, 64);
    }
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  _tile_release();
  free(data);
  return seconds;
}

double reading(size_t megabytes, int times) {
  const size_t bytes = megabytes << 20;
  char* data = static_cast<char*>(aligned_alloc(4096, bytes));
  memset(data, 1, bytes);
  __m512i all = _mm512_setzero_si512();
  const auto began = std::chrono::steady_clock::now();
  for (int n = 0; n < times; n++)
    for (size_t i = 0; i < bytes; i += 64) all = _mm512_xor_si512(all, _mm512_load_si512(data + i));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  volatile int keep = _mm512_reduce_add_epi32(all);
  (void)keep;
  free(data);
  return seconds;
}

int main() {
  syscall(SYS_arch_prctl, 0x1023, 18);  // leave to use the tiles
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  for (int threads = 1; threads <= cores; threads += std::max(1, cores - 1)) {
    for (size_t kilobytes : {0, 32, 800}) {
      const long times = 5'000'000;
      const double s = slowest(threads, [&] { return products(times, kilobytes); });
      printf("%d threads, bf16 products, operands %s: %.0f GFLOP/s\n", threads,
             kilobytes == 0 ? "in registers" : kilobytes == 32 ? "in the first cache" : "in the second cache", 4 * 16384.0 * times * threads / s / 1e9);
    }
    for (size_t megabytes : {32, 270}) {
      const int times = megabytes == 32 ? 40 : 6;
      const double s = slowest(threads, [&] { return reading(megabytes, times); });
      printf("%d threads, reading %zu MB each: %.1f GB/s\n", threads, megabytes, static_cast<double>(megabytes << 20) * times * threads / s / 1e9);
    }
  }
}
