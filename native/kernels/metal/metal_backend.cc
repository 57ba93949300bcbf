// This build ships no Metal kernels; the object says so wherever backends are listed.
#include "kernels/missing_backend.h"

namespace moebius {

Backend& metal_backend() {
#ifdef __APPLE__
  static MissingBackend backend("metal",
                                "this build has no Metal backend library (moebius_metal) next to the addon");
#else
  static MissingBackend backend("metal", "Metal exists on Apple systems only");
#endif
  return backend;
}

}  // namespace moebius
