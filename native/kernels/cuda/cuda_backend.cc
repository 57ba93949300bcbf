// This build ships no CUDA kernels; the object says so wherever backends are listed.
#include "kernels/missing_backend.h"

namespace moebius {

Backend& cuda_backend() {
  static MissingBackend backend("cuda",
                                "this build has no CUDA backend library (moebius_cuda) next to the addon");
  return backend;
}

}  // namespace moebius
