// Measuring the machine.
#include <algorithm>
#include <mutex>

#include "addon/addon_data.h"
#include "addon/arguments.h"
#include "addon/bindings.h"
#include "addon/conversions.h"
#include "addon/memory_info.h"
#include "addon/promise_task.h"
#include "engine/calibration.h"
#include "engine/thresholds.h"

namespace moebius::addon {
namespace {

// The newest progress; older values that nobody saw yet are dropped.
class CalibrationEvents final : public EventSource {
 public:
  void update(double fraction) {
    std::lock_guard lock(mutex_);
    fraction_ = fraction;
  }

  void deliver(Napi::Env env) override {
    const Call* call = AddonData::of(env).find_call(call_id);
    if (call == nullptr || call->callback.IsEmpty()) return;
    double fraction = 0;
    {
      std::lock_guard lock(mutex_);
      fraction = fraction_;
    }
    call->callback.Call({Napi::Number::New(env, fraction)});
  }

  uint64_t call_id = 0;  // set before the measurement starts

 private:
  std::mutex mutex_;
  double fraction_ = 0;
};

Napi::Object thresholds_to_js(Napi::Env env, const Calibration& calibration) {
  ObjectWriter columns(env);
  for (const auto& [format, min_columns] : tile_thresholds(calibration.thresholds)) columns.set(format.c_str(), min_columns);
  return ObjectWriter(env)
      .set("tileColumns", columns.object())
      .set("mlaAbsorbedCost", calibration.thresholds.mla_absorbed_cost)
      .set("mlaExpandsFrom", calibration.mla_expands_from)
      .set("mlaHistory", kMlaExampleHistory)
      .object();
}

Napi::Value calibration_to_js(Napi::Env env, const Call&, Calibration& calibration) {
  return ObjectWriter(env)
      .set("cpuBrand", calibration.cpu_brand)
      .set("cpuLevel", calibration.cpu_level)
      .set("nThreads", calibration.n_threads)
      .set("readBytesPerSecond", calibration.read_bytes)
      .set("int8OperationsPerSecond", calibration.int8_operations)
      .set("f32OperationsPerSecond", calibration.f32_operations)
      .set("bf16OperationsPerSecond", calibration.bf16_operations)
      .set("thresholds", thresholds_to_js(env, calibration))
      .set("milliseconds", calibration.milliseconds)
      .set("bufferBytes", calibration.buffer_bytes)
      .object();
}

}  // namespace

Napi::Value calibrate_js(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  CalibrationOptions options;
  options.n_threads = static_cast<int>(read_integer(info[0], "threads", 0, 1024));
  // The rest of the memory belongs to what is loaded, and to the other programs.
  options.max_buffer_bytes = std::max<uint64_t>(memory_info().available_bytes / 2, 1);
  Call call(env);
  if (!info[1].IsUndefined()) call.callback = Napi::Persistent(read_function(info[1], "onProgress"));
  call.cancel = claim_cancel(info[2], "cancel");

  AddonData& data = AddonData::of(env);
  auto events = std::make_shared<CalibrationEvents>();
  const bool wants_progress = !call.callback.IsEmpty();
  const std::shared_ptr<CancelFlag> cancel = call.cancel;
  const Napi::Promise promise = call.deferred.Promise();
  const uint64_t call_id = data.begin_call(std::move(call));
  events->call_id = call_id;
  const auto work = [options, cancel, events, wants_progress, pump = data.pump()] {
    CalibrationProgress progress;
    if (wants_progress) {
      progress = [events, pump](double fraction) {
        events->update(fraction);
        pump->announce(events, /*urgent=*/false);
      };
    }
    return calibrate(options, &cancel->requested(), progress);
  };
  start_task<Calibration>(data, call_id, work, calibration_to_js);
  return promise;
}

}  // namespace moebius::addon
