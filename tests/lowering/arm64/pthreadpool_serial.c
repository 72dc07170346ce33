/* The newer half of pthreadpool's interface, in series, for one thread.
 *
 * ExecuTorch's arm64 wheel takes pthreadpool from the torch that it was built with; the last arm64 torch on PyPI that
 * runs without CUDA is older and lacks these. Preloaded by test_arm64.py, for a functional check only.
 * Declarations: pthreadpool.h in torch/include of any newer torch.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void* pool_t;
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define NAME(rest) pthreadpool_parallelize_##rest

/* EXTRA: parameters between context and ranges; ID: leading arguments of the callback, with their comma. */
#define FAMILY(SUFFIX, EXTRA, ID)                                                                                     \
  void NAME(1d_tile_1d_dynamic##SUFFIX)(pool_t p, void (*f)(), void* c EXTRA, size_t I, size_t ti, uint32_t flags) {  \
    for (size_t i = 0; i < I; i += ti) ((void (*)(void* ID(T), size_t, size_t))f)(c ID(V), i, MIN(ti, I - i));        \
  }                                                                                                                   \
  void NAME(2d_tile_1d_dynamic##SUFFIX)(pool_t p, void (*f)(), void* c EXTRA, size_t I, size_t J, size_t tj,          \
                                        uint32_t flags) {                                                             \
    for (size_t i = 0; i < I; i++)                                                                                    \
      for (size_t j = 0; j < J; j += tj)                                                                              \
        ((void (*)(void* ID(T), size_t, size_t, size_t))f)(c ID(V), i, j, MIN(tj, J - j));                            \
  }                                                                                                                   \
  void NAME(2d_tile_2d_dynamic##SUFFIX)(pool_t p, void (*f)(), void* c EXTRA, size_t I, size_t J, size_t ti,          \
                                        size_t tj, uint32_t flags) {                                                  \
    for (size_t i = 0; i < I; i += ti)                                                                                \
      for (size_t j = 0; j < J; j += tj)                                                                              \
        ((void (*)(void* ID(T), size_t, size_t, size_t, size_t))f)(c ID(V), i, j, MIN(ti, I - i), MIN(tj, J - j));    \
  }                                                                                                                   \
  void NAME(3d_tile_1d_dynamic##SUFFIX)(pool_t p, void (*f)(), void* c EXTRA, size_t I, size_t J, size_t K,           \
                                        size_t tk, uint32_t flags) {                                                  \
    for (size_t i = 0; i < I; i++)                                                                                    \
      for (size_t j = 0; j < J; j++)                                                                                  \
        for (size_t k = 0; k < K; k += tk)                                                                            \
          ((void (*)(void* ID(T), size_t, size_t, size_t, size_t))f)(c ID(V), i, j, k, MIN(tk, K - k));               \
  }                                                                                                                   \
  void NAME(3d_tile_2d_dynamic##SUFFIX)(pool_t p, void (*f)(), void* c EXTRA, size_t I, size_t J, size_t K,           \
                                        size_t tj, size_t tk, uint32_t flags) {                                       \
    for (size_t i = 0; i < I; i++)                                                                                    \
      for (size_t j = 0; j < J; j += tj)                                                                              \
        for (size_t k = 0; k < K; k += tk)                                                                            \
          ((void (*)(void* ID(T), size_t, size_t, size_t, size_t, size_t))f)(c ID(V), i, j, k, MIN(tj, J - j),        \
                                                                             MIN(tk, K - k));                         \
  }                                                                                                                   \
  void NAME(4d_tile_2d_dynamic##SUFFIX)(pool_t p, void (*f)(), void* c EXTRA, size_t I, size_t J, size_t K, size_t L, \
                                        size_t tk, size_t tl, uint32_t flags) {                                       \
    for (size_t i = 0; i < I; i++)                                                                                    \
      for (size_t j = 0; j < J; j++)                                                                                  \
        for (size_t k = 0; k < K; k += tk)                                                                            \
          for (size_t l = 0; l < L; l += tl)                                                                          \
            ((void (*)(void* ID(T), size_t, size_t, size_t, size_t, size_t, size_t))f)(                               \
                c ID(V), i, j, k, l, MIN(tk, K - k), MIN(tl, L - l));                                                 \
  }

#define NONE_T
#define NONE_V
#define NONE(x) NONE_##x
#define ONE_T , uint32_t
#define ONE_V , 0
#define ONE(x) ONE_##x
#define TWO_T , uint32_t, size_t
#define TWO_V , 0, 0
#define TWO(x) TWO_##x
#define UARCH , uint32_t default_uarch, uint32_t max_uarch

/* A thread's number is a size_t, a micro-architecture's a uint32_t. */
#define THREAD_T , size_t
#define THREAD_V , 0
#define THREAD(x) THREAD_##x

FAMILY(, , NONE)
FAMILY(_with_uarch, UARCH, ONE)
FAMILY(_with_thread, , THREAD)
FAMILY(_with_uarch_with_thread, UARCH, TWO)

pool_t pthreadpool_create(size_t threads);
pool_t pthreadpool_create_v2(void* executor, void* context, size_t threads) { return pthreadpool_create(1); }
void pthreadpool_release_executor_threads(pool_t pool) {}
bool pthreadpool_update_executor(pool_t pool, void* executor, void* context) { return false; }
