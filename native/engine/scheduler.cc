#include "engine/scheduler.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <list>
#include <thread>

#include "engine/generation.h"
#include "engine/step.h"

namespace moebius {

namespace {

using GenerationPtr = std::shared_ptr<Generation>;

// Row-invariant kernels are promised for up to 31 rows; more requests take further steps.
constexpr size_t kMaxDecodeRows = 16;

double ms_between(std::chrono::steady_clock::time_point a, std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double, std::milli>(b - a).count();
}

}  // namespace

struct Scheduler::State {
  std::shared_ptr<Model> model;
  mutable std::mutex mutex;
  std::condition_variable wake, idle;
  std::deque<GenerationPtr> queued;  // under mutex
  std::list<GenerationPtr> active;   // changed by the worker, under mutex
  uint64_t next_id = 1;
  bool stopping = false;
  std::thread worker;
  PageBuffer logits;  // [kMaxDecodeRows, vocab_size]

  float* logits_row(size_t row) const {
    return logits.as<float>() + row * static_cast<size_t>(model->info().vocab_size);
  }
  std::span<const float> logits_of(size_t row) const {
    return {logits_row(row), static_cast<size_t>(model->info().vocab_size)};
  }

  void work();
  bool admit();
  void drop_ended();
  void prefill_one();
  void decode_all();
  void decode(std::span<const GenerationPtr> batch);
};

namespace {

// Whatever goes wrong with one request ends that request and nothing else.
template <typename Body>
void guarded(Generation& generation, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    generation.end_with_error(error);
  } catch (const std::exception& error) {
    generation.end_with_error(Error(ErrorCode::kInternal, error.what()));
  }
}

}  // namespace

// Waits for requests and takes them in; false when the scheduler is closing.
bool Scheduler::State::admit() {
  std::unique_lock<std::mutex> lock(mutex);
  if (queued.empty() && active.empty()) idle.notify_all();
  wake.wait(lock, [&] { return stopping || !queued.empty() || !active.empty(); });
  active.insert(active.end(), queued.begin(), queued.end());
  queued.clear();
  return !stopping;
}

void Scheduler::State::drop_ended() {
  for (const GenerationPtr& each : active)
    if (each->cancelled().load() && !each->is_ended())
      guarded(*each, [&] { each->end(EndReason::kCancelled); });
  const std::lock_guard<std::mutex> lock(mutex);
  active.remove_if([](const GenerationPtr& each) { return each->is_ended(); });
}

// One chunk of the oldest waiting prompt, so that running answers go on in between.
void Scheduler::State::prefill_one() {
  const auto at = std::find_if(active.begin(), active.end(),
                               [](const GenerationPtr& each) { return each->is_prefilling(); });
  if (at == active.end()) return;
  const GenerationPtr generation = *at;
  guarded(*generation, [&] {
    if (!generation->has_begun()) generation->begin();
    const std::span<const int32_t> chunk = generation->next_chunk();
    const bool is_last = generation->chunk_is_last();
    const StepPart part{&generation->session(), chunk, is_last ? WantLogits::kLast : WantLogits::kNone};
    StepOptions options;
    options.phase = generation->prompt_phase();
    options.cancel = &generation->cancelled();
    const auto start = std::chrono::steady_clock::now();
    run_step(model->state(), {&part, 1}, options, logits_row(0));
    generation->chunk_done(static_cast<int64_t>(chunk.size()));
    if (is_last) generation->take_logits(logits_of(0), ms_between(start, std::chrono::steady_clock::now()));
  });
}

void Scheduler::State::decode(std::span<const GenerationPtr> batch) {
  std::vector<StepPart> parts;
  for (const GenerationPtr& each : batch)
    parts.push_back({&each->session(), {&each->pending_token(), 1}, WantLogits::kLast});
  StepOptions options;
  if (batch.size() == 1) options.cancel = &batch.front()->cancelled();
  const auto start = std::chrono::steady_clock::now();
  run_step(model->state(), parts, options, logits_row(0));
  const double ms = ms_between(start, std::chrono::steady_clock::now());
  for (size_t row = 0; row < batch.size(); ++row)
    guarded(*batch[row], [&] { batch[row]->take_logits(logits_of(row), ms); });
}

void Scheduler::State::decode_all() {
  std::vector<GenerationPtr> ready;
  for (const GenerationPtr& each : active)
    if (!each->is_ended() && !each->is_prefilling()) ready.push_back(each);
  for (size_t begin = 0; begin < ready.size(); begin += kMaxDecodeRows) {
    const std::span<const GenerationPtr> batch(ready.data() + begin,
                                               std::min(kMaxDecodeRows, ready.size() - begin));
    try {
      decode(batch);
    } catch (const std::exception&) {
      // One row spoiled the step; alone, each of the others still succeeds.
      for (const GenerationPtr& each : batch) guarded(*each, [&] { decode({&each, 1}); });
    }
  }
}

void Scheduler::State::work() {
  while (admit()) {
    drop_ended();
    prefill_one();
    decode_all();
    drop_ended();
  }
  for (const GenerationPtr& each : active)
    if (!each->is_ended()) guarded(*each, [&] { each->end(EndReason::kCancelled); });
}

Scheduler::Scheduler(std::shared_ptr<Model> model) : state_(std::make_unique<State>()) {
  state_->logits = PageBuffer(kMaxDecodeRows * static_cast<size_t>(model->info().vocab_size) * sizeof(float));
  state_->model = std::move(model);
  state_->worker = std::thread([state = state_.get()] { state->work(); });
}

Scheduler::~Scheduler() {
  {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    state_->stopping = true;
    for (const GenerationPtr& each : state_->active) each->cancelled().store(true);
    state_->wake.notify_all();
  }
  state_->worker.join();
}

uint64_t Scheduler::submit(GenerateRequest request) {
  uint64_t id;
  {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    id = state_->next_id++;
  }
  auto generation = std::make_shared<Generation>(id, state_->model->state(), std::move(request));
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->queued.push_back(std::move(generation));
  state_->wake.notify_all();
  return id;
}

void Scheduler::cancel(uint64_t request_id) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  for (const auto& each : state_->queued)
    if (each->id() == request_id) each->cancelled().store(true);
  for (const auto& each : state_->active)
    if (each->id() == request_id) each->cancelled().store(true);
}

void Scheduler::cancel_all() {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  for (const auto& each : state_->queued) each->cancelled().store(true);
  for (const auto& each : state_->active) each->cancelled().store(true);
}

void Scheduler::wait_until_idle() {
  std::unique_lock<std::mutex> lock(state_->mutex);
  state_->idle.wait(lock, [&] { return state_->queued.empty() && state_->active.empty(); });
}

int64_t Scheduler::n_active() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return static_cast<int64_t>(state_->active.size());
}

int64_t Scheduler::n_queued() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return static_cast<int64_t>(state_->queued.size());
}

const char* end_reason_name(EndReason reason) {
  switch (reason) {
    case EndReason::kStop:
      return "stop";
    case EndReason::kLength:
      return "length";
    case EndReason::kCancelled:
      return "cancelled";
    case EndReason::kError:
      return "error";
  }
  return "";
}

}  // namespace moebius
