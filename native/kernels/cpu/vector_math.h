// Elementary functions over the vectors of one level. Include a simd*.h first.
#pragma once

namespace moebius::cpu {
namespace {

// e^x to about 1 ulp (Cephes' polynomial); 0 below -87.3, largest finite above 88.
inline Simd::F exp(Simd::F x) {
  const Simd::F clamped = Simd::min(Simd::max(x, Simd::set1(-87.3f)), Simd::set1(88.0f));
  const Simd::F n = Simd::round(Simd::mul(clamped, Simd::set1(1.44269504088896341f)));
  Simd::F r = Simd::fnma(n, Simd::set1(0.693359375f), clamped);
  r = Simd::fnma(n, Simd::set1(-2.12194440e-4f), r);
  Simd::F p = Simd::set1(1.9875691500e-4f);
  p = Simd::fma(p, r, Simd::set1(1.3981999507e-3f));
  p = Simd::fma(p, r, Simd::set1(8.3334519073e-3f));
  p = Simd::fma(p, r, Simd::set1(4.1665795894e-2f));
  p = Simd::fma(p, r, Simd::set1(1.6666665459e-1f));
  p = Simd::fma(p, r, Simd::set1(5.0000001201e-1f));
  const Simd::F value = Simd::add(Simd::fma(Simd::mul(r, r), p, r), Simd::set1(1.0f));
  return Simd::mul(value, Simd::power_of_two(n));
}

inline Simd::F sigmoid(Simd::F x) {
  const Simd::F one = Simd::set1(1.0f);
  return Simd::div(one, Simd::add(one, exp(Simd::sub(Simd::zero(), x))));
}

}  // namespace
}  // namespace moebius::cpu
