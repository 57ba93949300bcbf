// The engine before any model: what it is, what it can read, what a file would need.
#include "addon/addon_data.h"
#include "addon/arguments.h"
#include "addon/bindings.h"
#include "addon/conversions.h"
#include "addon/memory_info.h"
#include "addon/promise_task.h"
#include "base/error.h"
#include "engine/engine.h"
#include "engine/engine_info.h"

namespace moebius::addon {

Napi::Value engine_info_js(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const EngineInfo engine = engine_info();
  return ObjectWriter(env)
      .set("version", engine.version)
      .set("backends", to_js_array(env, engine.backends,
                                   [&](const BackendDescription& backend) {
                                     return ObjectWriter(env)
                                         .set("id", backend.id)
                                         .set("available", backend.available)
                                         .set("reason", backend.reason)
                                         .set("device", backend.device)
                                         .set("level", backend.level)
                                         .set("hasBf16Attention", backend.has_bf16_attention)
                                         .object();
                                   }))
      .set("cpuLevels", engine.cpu_levels)
      .set("cpuLevel", engine.cpu_level)
      .set("cpuBrand", engine.cpu_brand)
      .set("nPhysicalCores", engine.n_physical_cores)
      .set("nUsableCpus", engine.n_usable_cpus)
      .set("architectures", engine.architectures)
      .object();
}

Napi::Value memory_info_js(const Napi::CallbackInfo& info) {
  const MemoryInfo memory = memory_info();
  return ObjectWriter(info.Env())
      .set("totalBytes", memory.total_bytes)
      .set("availableBytes", memory.available_bytes)
      .set("processBytes", memory.process_bytes)
      .object();
}

Napi::Value create_cancel(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return make_handle(env, kCancelTag, std::make_shared<CancelFlag>(), AddonData::of(env).runner());
}

Napi::Value request_cancel(const Napi::CallbackInfo& info) {
  unwrap_cancel(info[0], "cancel")->request();
  return info.Env().Undefined();
}

Napi::Value inspect_file(const Napi::CallbackInfo& info) {
  const auto path = read_path(info[0], "path");
  const auto overrides = read_string_map(info[1], "overrides");
  return run_task<FileInspection>(
      info.Env(), Call(info.Env()), [path, overrides] { return inspect(path, overrides); },
      [](Napi::Env env, const Call&, FileInspection& inspection) { return to_js(env, inspection); });
}

Napi::Value estimate_file(const Napi::CallbackInfo& info) {
  const auto path = read_path(info[0], "path");
  const int64_t seq_len = read_integer(info[1], "seqLen", 1, int64_t{1} << 31);
  const CacheFormat format = cache_format_by_name(read_string(info[2], "cacheFormat"));
  const auto overrides = read_string_map(info[3], "overrides");
  const auto expert_memory = static_cast<uint64_t>(read_integer(info[4], "expertMemory", 0, kMaxExpertMemory));
  struct Estimated {
    MemoryEstimate bytes;
    int64_t n_routed_experts = 0;
  };
  const auto work = [=] {
    const FileInspection inspection = inspect(path, overrides);
    if (!inspection.problem.empty()) throw Error(ErrorCode::kUnsupported, inspection.problem);
    return Estimated{estimate_memory(inspection.info, seq_len, format, expert_memory), inspection.info.n_routed_experts};
  };
  return run_task<Estimated>(info.Env(), Call(info.Env()), work, [](Napi::Env env, const Call&, Estimated& estimated) {
    const MemoryEstimate& estimate = estimated.bytes;
    return ObjectWriter(env)
        .set("weightsBytes", estimate.weights)
        .set("cacheBytes", estimate.cache)
        .set("scratchBytes", estimate.scratch)
        .set("totalBytes", estimate.total())
        .set("cacheBytesPerToken", estimate.cache_per_token)
        .set("expertsBytes", estimate.experts)
        .set("expertSlots", estimate.expert_slots)
        .set("leastExpertMemory", estimate.least_expert_memory)
        .set("mostExpertMemory", estimate.most_expert_memory)
        .set("nRoutedExperts", estimated.n_routed_experts)
        .object();
  });
}

}  // namespace moebius::addon
