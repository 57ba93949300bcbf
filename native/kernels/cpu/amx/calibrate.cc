#include "kernels/cpu/amx/calibrate.h"

#include "kernels/cpu/amx/registers.h"
#include "kernels/cpu/calibrate.h"

namespace moebius::cpu {

PeakLoop amx_int8_loop() { return {amx_int8_rounds<TileRegisters>, kAmxOperationsPerRound}; }

}  // namespace moebius::cpu
