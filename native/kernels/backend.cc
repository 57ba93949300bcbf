#include "kernels/backend.h"

namespace moebius {

std::vector<Backend*> backends() { return {&cpu_backend(), &cuda_backend(), &metal_backend()}; }

}  // namespace moebius
