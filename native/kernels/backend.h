// A backend: where kernels run. CPU is always there; CUDA and Metal are separate shared
// libraries loaded at run time. A missing backend is an object that says why.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace moebius {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const char* id() const = 0;             // "cpu", "cuda", "metal", "reference"
  virtual bool available() const = 0;
  virtual std::string unavailable_reason() const = 0;  // "" when available
  virtual std::string device_name() const = 0;    // "AMD EPYC 9555", "" when unavailable
  virtual std::string level() const = 0;          // ISA level or compute capability in use
  // Why a better level of this hardware is not offered; "" when all are.
  virtual std::string missing_level_reason() const { return ""; }
  // Whether KernelContext::bf16_attention changes anything here.
  virtual bool has_bf16_attention() const { return false; }
  virtual const KernelTable& kernels() const = 0;  // throws Error(kUnsupported) when unavailable
};

// The best CPU level the machine has, or the one MOEBIUS_ISA names (reference, avx2, avx_vnni, avx512,
// avx512_bf16, amx, neon_base, neon, neon_i8mm); throws Error(kUnsupported) when the machine lacks the one named.
Backend& cpu_backend();
// Plain loops; the oracle.
Backend& reference_backend();
Backend& cuda_backend();
Backend& metal_backend();
// cpu, cuda, metal: what the product lists.
std::vector<Backend*> backends();
// ISA levels this machine can run, worst first.
std::vector<std::string> cpu_levels();
// Software models of levels, only in builds with tests: cpu_backend_at() takes them too.
std::vector<std::string> modelled_cpu_levels();
// The CPU backend at one level, for tests of every level in one process.
Backend& cpu_backend_at(const std::string& level);

}  // namespace moebius
