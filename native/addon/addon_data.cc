#include "addon/addon_data.h"

#include <utility>

#include "addon/promise_task.h"

namespace moebius::addon {

AddonData::AddonData(Napi::Env env)
    : env_(env), pump_(std::make_shared<EventPump>(env)), runner_(std::make_shared<TaskRunner>()) {}

uint64_t AddonData::begin_call(Call call) {
  if (call.session) {
    call.model = call.session->model;
    call.session->running = call.cancel ? call.cancel : std::make_shared<CancelFlag>();
  }
  if (call.model) ++call.model->n_calls;
  pump_->hold();
  const uint64_t id = next_call_id_++;
  calls_.emplace(id, std::move(call));
  return id;
}

Call* AddonData::find_call(uint64_t id) {
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : &found->second;
}

Call AddonData::end_call(uint64_t id) {
  const auto found = calls_.find(id);
  Call call = std::move(found->second);
  calls_.erase(found);
  pump_->release();
  if (call.cancel) call.cancel->retire();
  if (call.session) {
    call.session->running.reset();
    if (call.session->closed && !call.model->closed) close_session(call.session);
  }
  if (call.model) {
    --call.model->n_calls;
    if (call.model->closed) free_model_when_idle(env_, call.model);
  }
  return call;
}

void AddonData::dispose(std::shared_ptr<void> object) {
  runner_->submit([object = std::move(object)] {});
}

void AddonData::close_session(const std::shared_ptr<SessionState>& session) {
  session->closed = true;
  if (session->running) {
    session->running->request();  // end_call() comes back here
    return;
  }
  session->observer.reset();
  session->trace.reset();
  if (session->session) dispose(std::exchange(session->session, nullptr));
}

Napi::Value AddonData::close_model(Napi::Env env, const std::shared_ptr<ModelState>& model) {
  const auto deferred = Napi::Promise::Deferred::New(env);
  if (model->freed && !closing_.contains(model.get())) {
    deferred.Resolve(env.Undefined());
    return deferred.Promise();
  }
  closing_[model.get()].push_back(deferred);
  if (!model->closed) {
    model->closed = true;
    for (auto& [id, call] : calls_) {
      if (call.model == model && call.cancel) call.cancel->request();
    }
    free_model_when_idle(env, model);
  }
  return deferred.Promise();
}

void AddonData::free_model_when_idle(Napi::Env env, const std::shared_ptr<ModelState>& model) {
  if (model->n_calls > 0 || model->freed) return;
  model->freed = true;
  std::vector<std::shared_ptr<Session>> sessions;
  for (const auto& session : model->sessions.alive()) sessions.push_back(std::exchange(session->session, nullptr));
  const auto free_memory = [model, sessions = std::move(sessions)]() mutable {
    model->scheduler.reset();
    sessions.clear();
    model->model.reset();
    return true;
  };
  const auto resolve_all = [this, model](Napi::Env resolve_env, const Call&, bool&) -> Napi::Value {
    const auto waiting = std::exchange(closing_[model.get()], {});
    closing_.erase(model.get());
    for (const auto& deferred : waiting) deferred.Resolve(resolve_env.Undefined());
    return resolve_env.Undefined();
  };
  run_task<bool>(env, Call(env), free_memory, resolve_all);
}

void AddonData::shutdown() {
  if (std::exchange(shut_down_, true)) return;
  pump_->close();
  for (auto& [id, call] : calls_) {
    if (call.cancel) call.cancel->request();
    if (call.session && call.session->running) call.session->running->request();
  }
  runner_->stop();
  for (const auto& model : models_.alive()) {
    model->scheduler.reset();
    for (const auto& session : model->sessions.alive()) {
      session->session.reset();
      session->observer.reset();
      session->trace.reset();
    }
    model->model.reset();
  }
  calls_.clear();
}

void reject(Napi::Env env, const Napi::Promise::Deferred& deferred, const Failure& failure) {
  deferred.Reject(to_js_error(env, failure).Value());
}

}  // namespace moebius::addon
