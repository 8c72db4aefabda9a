#include "enqueue.hpp"

#include "runtime.hpp"

extern "C" __attribute__((visibility("default"))) cudaError_t ferula_emulated_enqueue(cudaStream_t stream,
                                                                                      void (*work)(void*),
                                                                                      void* argument) {
  return ferula::emulated::enqueue(stream, [=] { work(argument); });
}
