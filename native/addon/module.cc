// The addon's entry: what it exports, and how it starts and ends with its environment.
#include <napi.h>

#include "addon/addon_data.h"
#include "addon/bindings.h"
#include "addon/errors.h"

namespace moebius::addon {
namespace {

// Raised with every change of index.d.ts: a stale build must not meet a new wrapper.
constexpr int kApiVersion = 5;

template <Napi::Value (*Function)(const Napi::CallbackInfo&)>
void add(Napi::Object& exports, const char* name) {
  exports.Set(name, Napi::Function::New<&guarded<Function>>(exports.Env(), name));
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto* data = new AddonData(env);
  env.SetInstanceData(data);  // deletes it at the end
  // Registered after the pump's thread-safe function, so it runs before that one is gone.
  napi_add_env_cleanup_hook(env, [](void* argument) { static_cast<AddonData*>(argument)->shutdown(); }, data);

  exports.Set("apiVersion", Napi::Number::New(env, kApiVersion));
  add<engine_info_js>(exports, "engineInfo");
  add<memory_info_js>(exports, "memoryInfo");
  add<create_cancel>(exports, "createCancel");
  add<request_cancel>(exports, "cancel");
  add<inspect_file>(exports, "inspect");
  add<estimate_file>(exports, "estimate");
  add<calibrate_js>(exports, "calibrate");
  add<load_model>(exports, "loadModel");
  add<model_info>(exports, "modelInfo");
  add<streamed_experts>(exports, "streamedExperts");
  add<encode_text>(exports, "encode");
  add<decode_tokens>(exports, "decode");
  add<close_model>(exports, "closeModel");
  add<create_session>(exports, "createSession");
  add<session_info>(exports, "sessionInfo");
  add<truncate_session>(exports, "truncate");
  add<session_logits>(exports, "logits");
  add<session_route>(exports, "route");
  add<watch_routing>(exports, "watchRouting");
  add<drain_routing>(exports, "drainRouting");
  add<save_snapshot>(exports, "saveSnapshot");
  add<restore_snapshot>(exports, "restoreSnapshot");
  add<close_session>(exports, "closeSession");
  add<generate>(exports, "generate");
  return exports;
}

}  // namespace
}  // namespace moebius::addon

// The macro wants a function of the global namespace.
static Napi::Object initialize_module(Napi::Env env, Napi::Object exports) {
  return moebius::addon::initialize(env, exports);
}
NODE_API_MODULE(native, initialize_module)
