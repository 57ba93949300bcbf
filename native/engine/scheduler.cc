#include "engine/scheduler.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <list>
#include <thread>

#include "engine/generation.h"
#include "engine/mtp_drafter.h"
#include "engine/step.h"

namespace moebius {

namespace {

using GenerationPtr = std::shared_ptr<Generation>;

// Row-invariant kernels are promised for up to 31 rows; what is more, requests or their
// drafts, takes further steps.
constexpr size_t kMaxDecodeRows = 16;
static_assert(kMaxDecodeRows > DraftSettings::kMaxTokens);

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
  std::unique_ptr<MtpDrafter> mtp;  // null when the model has no such layer

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
  void prefill(Generation& generation);
  void decode_all();
  void draft(std::span<const GenerationPtr> ready);
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
  guarded(*generation, [&] { prefill(*generation); });
}

void Scheduler::State::prefill(Generation& generation) {
  if (!generation.has_begun()) generation.begin();
  const std::span<const int32_t> chunk = generation.next_chunk();
  const bool is_last = generation.chunk_is_last();
  StepPart part{&generation.session(), chunk, is_last ? WantLogits::kLast : WantLogits::kNone};
  part.final_hidden = generation.hidden_room(static_cast<int64_t>(chunk.size()));
  StepOptions options;
  options.phase = generation.prompt_phase();
  options.cancel = &generation.cancelled();
  const auto start = std::chrono::steady_clock::now();
  run_step(model->state(), {&part, 1}, options, logits_row(0));
  generation.chunk_done(static_cast<int64_t>(chunk.size()));
  if (is_last) generation.take_logits(logits_of(0), ms_between(start, std::chrono::steady_clock::now()));
  if (generation.is_ended() || !generation.collects_hidden()) return;
  try {
    mtp->absorb(generation.session());
  } catch (const std::exception&) {
    generation.drafting_failed();
  }
}

namespace {

void draft_with(Drafter& drafter, std::vector<DraftTask>& tasks, std::span<Generation* const> owners) {
  if (tasks.empty()) return;
  try {
    drafter.draft(tasks);
  } catch (const std::exception&) {
    for (Generation* each : owners) each->drafting_failed();
    return;
  }
  for (size_t i = 0; i < tasks.size(); ++i) {
    const size_t n = std::min(tasks[i].tokens.size(), static_cast<size_t>(tasks[i].n_wanted));
    owners[i]->set_drafts({tasks[i].tokens.data(), n});
  }
}

}  // namespace

// Guesses for all requests that want some, those of the model's own layer in one pass.
void Scheduler::State::draft(std::span<const GenerationPtr> ready) {
  std::vector<DraftTask> tasks;
  std::vector<Generation*> owners;
  for (const GenerationPtr& each : ready) {
    const int64_t n_wanted = each->drafts_wanted();
    if (n_wanted == 0) continue;
    Generation* const owner = each.get();
    if (each->own_drafter() != nullptr) {
      std::vector<DraftTask> own = {each->draft_task(n_wanted)};
      draft_with(*each->own_drafter(), own, {&owner, 1});
    } else {
      tasks.push_back(each->draft_task(n_wanted));
      owners.push_back(owner);
    }
  }
  if (mtp != nullptr) draft_with(*mtp, tasks, owners);
}

void Scheduler::State::decode(std::span<const GenerationPtr> batch) {
  std::vector<StepPart> parts;
  for (const GenerationPtr& each : batch) parts.push_back(each->decode_part());
  StepOptions options;
  if (batch.size() == 1) options.cancel = &batch.front()->cancelled();
  const auto start = std::chrono::steady_clock::now();
  run_step(model->state(), parts, options, logits_row(0));
  const double ms = ms_between(start, std::chrono::steady_clock::now());
  for (size_t i = 0, row = 0; i < batch.size(); row += parts[i].tokens.size(), ++i)
    guarded(*batch[i], [&] { batch[i]->take_step(logits_row(row), ms); });
}

void Scheduler::State::decode_all() {
  std::vector<GenerationPtr> ready;
  for (const GenerationPtr& each : active)
    if (!each->is_ended() && !each->is_prefilling()) ready.push_back(each);
  if (ready.empty()) return;
  const auto start = std::chrono::steady_clock::now();
  draft(ready);
  for (size_t begin = 0, end = 0; begin < ready.size(); begin = end) {
    for (size_t n_rows = 0; end < ready.size(); ++end) {
      n_rows += ready[end]->n_step_rows();
      if (n_rows > kMaxDecodeRows) break;
    }
    const std::span<const GenerationPtr> batch(ready.data() + begin, end - begin);
    try {
      decode(batch);
    } catch (const std::exception&) {
      // One row spoiled the step, a draft's perhaps; alone, each of the others still succeeds.
      for (const GenerationPtr& each : batch) {
        each->drop_drafts();
        guarded(*each, [&] { decode({&each, 1}); });
      }
    }
  }
  const double ms = ms_between(start, std::chrono::steady_clock::now());
  for (const GenerationPtr& each : ready) each->measured(ms, static_cast<int64_t>(ready.size()));
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
  if (model->info().n_mtp_layers > 0)
    state_->mtp = std::make_unique<MtpDrafter>(model->state(), static_cast<int64_t>(kMaxDecodeRows));
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
