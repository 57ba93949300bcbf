#include "addon/handles.h"

#include <string>

#include "addon/errors.h"
#include "base/error.h"

namespace moebius::addon {

void CancelFlag::request() {
  std::lock_guard lock(mutex_);
  requested_.store(true, std::memory_order_relaxed);
  if (action_) action_();
}

void CancelFlag::on_request(std::function<void()> action) {
  std::lock_guard lock(mutex_);
  if (retired_) return;
  action_ = std::move(action);
  if (is_requested()) action_();
}

void CancelFlag::retire() {
  std::lock_guard lock(mutex_);
  retired_ = true;
  action_ = nullptr;
}

void* unwrap_tagged(const Napi::Value& value, const napi_type_tag& tag, const char* name, const char* kind) {
  bool matches = false;
  void* data = nullptr;
  if (!value.IsObject() || napi_check_object_type_tag(value.Env(), value, &tag, &matches) != napi_ok || !matches ||
      napi_unwrap(value.Env(), value, &data) != napi_ok) {
    throw Error(ErrorCode::kBadRequest,
                std::string("argument '") + name + "' must be a " + kind + " handle of this addon");
  }
  return data;
}

std::shared_ptr<CancelFlag> unwrap_cancel(const Napi::Value& value, const char* name) {
  return unwrap<CancelFlag>(value, kCancelTag, name, "cancel");
}

std::shared_ptr<CancelFlag> claim_cancel(const Napi::Value& value, const char* name) {
  auto flag = value.IsUndefined() ? std::make_shared<CancelFlag>() : unwrap_cancel(value, name);
  if (flag->claimed) {
    throw AddonError("E_CONFLICT", std::string("argument '") + name + "' was given to another call already",
                     "Create one cancel handle for each call.");
  }
  flag->claimed = true;
  return flag;
}

std::shared_ptr<ModelState> unwrap_open_model(const Napi::Value& value) {
  auto state = unwrap<ModelState>(value, kModelTag, "model", "model");
  if (state->closed) throw AddonError("E_CONFLICT", "the model is closed", "Load it again.");
  return state;
}

std::shared_ptr<SessionState> unwrap_open_session(const Napi::Value& value) {
  auto state = unwrap<SessionState>(value, kSessionTag, "session", "session");
  if (state->model->closed) throw AddonError("E_CONFLICT", "the session's model is closed", "Load it again.");
  if (state->closed) throw AddonError("E_CONFLICT", "the session is closed", "Create a new one.");
  return state;
}

std::shared_ptr<SessionState> unwrap_idle_session(const Napi::Value& value) {
  auto state = unwrap_open_session(value);
  if (state->running) {
    throw AddonError("E_CONFLICT", "the session is busy with another call",
                     "Wait for that call or cancel it; use one session for each answer.");
  }
  return state;
}

}  // namespace moebius::addon
