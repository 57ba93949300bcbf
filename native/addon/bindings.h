// The functions that module.cc exports, by what they are about. index.d.ts says what each
// takes and gives.
#pragma once

#include <napi.h>

namespace moebius::addon {

// engine_binding.cc
Napi::Value engine_info_js(const Napi::CallbackInfo& info);
Napi::Value memory_info_js(const Napi::CallbackInfo& info);
Napi::Value create_cancel(const Napi::CallbackInfo& info);
Napi::Value request_cancel(const Napi::CallbackInfo& info);
Napi::Value inspect_file(const Napi::CallbackInfo& info);
Napi::Value estimate_file(const Napi::CallbackInfo& info);

// model_binding.cc
Napi::Value load_model(const Napi::CallbackInfo& info);
Napi::Value model_info(const Napi::CallbackInfo& info);
Napi::Value streamed_experts(const Napi::CallbackInfo& info);
Napi::Value encode_text(const Napi::CallbackInfo& info);
Napi::Value decode_tokens(const Napi::CallbackInfo& info);
Napi::Value close_model(const Napi::CallbackInfo& info);

// calibration_binding.cc
Napi::Value calibrate_js(const Napi::CallbackInfo& info);

// session_binding.cc
Napi::Value create_session(const Napi::CallbackInfo& info);
Napi::Value session_info(const Napi::CallbackInfo& info);
Napi::Value truncate_session(const Napi::CallbackInfo& info);
Napi::Value session_logits(const Napi::CallbackInfo& info);
Napi::Value session_route(const Napi::CallbackInfo& info);
Napi::Value watch_routing(const Napi::CallbackInfo& info);
Napi::Value drain_routing(const Napi::CallbackInfo& info);
Napi::Value save_snapshot(const Napi::CallbackInfo& info);
Napi::Value restore_snapshot(const Napi::CallbackInfo& info);
Napi::Value close_session(const Napi::CallbackInfo& info);

// generate_binding.cc
Napi::Value generate(const Napi::CallbackInfo& info);

}  // namespace moebius::addon
