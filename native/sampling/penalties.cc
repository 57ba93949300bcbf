#include "sampling/penalties.h"

#include <algorithm>
#include <cmath>

namespace moebius {

namespace {

// repeats[i], i >= 1: how many tokens before history[n - i] equal the tokens at the end of
// history (the Z algorithm on the reversed history, linear). [n]
std::vector<uint32_t> suffix_repeats(std::span<const int32_t> history) {
  const size_t n = history.size();
  const auto token = [&](size_t back) { return history[n - 1 - back]; };
  std::vector<uint32_t> repeats(n, 0);
  size_t left = 0, right = 0;  // the window [left, right) known to repeat the end
  for (size_t i = 1; i < n; ++i) {
    size_t length = i < right ? std::min<size_t>(right - i, repeats[i - left]) : 0;
    while (i + length < n && token(length) == token(i + length)) ++length;
    repeats[i] = static_cast<uint32_t>(length);
    if (i + length > right) {
      left = i;
      right = i + length;
    }
  }
  return repeats;
}

}  // namespace

std::span<const int32_t> last_tokens(std::span<const int32_t> history, int32_t n) {
  const size_t wanted = n < 0 ? history.size() : std::min(history.size(), static_cast<size_t>(n));
  return history.last(wanted);
}

void apply_penalties(Candidates& candidates, const SamplerSettings& s, std::span<const int32_t> history,
                     std::vector<uint32_t>& counts) {
  const std::span<const int32_t> window = last_tokens(history, s.repeat_last_n);
  const bool off = s.repeat_penalty == 1 && s.frequency_penalty == 0 && s.presence_penalty == 0;
  if (off || window.empty()) return;
  std::vector<int32_t> ids;
  for (const int32_t id : window)
    if (counts[static_cast<size_t>(id)]++ == 0) ids.push_back(id);
  candidates.adjust(ids, [&](int32_t id, float logit) {
    const uint32_t count = counts[static_cast<size_t>(id)];
    if (count == 0) return logit;
    const float scaled = logit > 0 ? logit / s.repeat_penalty : logit * s.repeat_penalty;
    return scaled - (static_cast<float>(count) * s.frequency_penalty + s.presence_penalty);
  });
  for (const int32_t id : ids) counts[static_cast<size_t>(id)] = 0;
}

size_t tokens_after_breaker(std::span<const int32_t> history, const std::vector<std::string>& breakers,
                            const TokenTable& tokens) {
  size_t longest = 1;
  for (const std::string& breaker : breakers) longest = std::max(longest, breaker.size());
  std::string following;  // the first longest - 1 bytes after the token looked at
  for (size_t back = 0; back < history.size(); ++back) {
    const std::string_view bytes = tokens.bytes(history[history.size() - 1 - back]);
    const std::string text = std::string(bytes) + following;
    size_t end = 0;  // of the breaker that reaches farthest
    for (const std::string& breaker : breakers) {
      const size_t at = bytes.empty() ? std::string::npos : text.rfind(breaker, bytes.size() - 1);
      if (at != std::string::npos) end = std::max(end, at + breaker.size());
    }
    if (end > 0) {
      // Later tokens that hold part of the breaker do not count either.
      size_t reach = bytes.size();
      while (back > 0 && reach < end) reach += tokens.bytes(history[history.size() - back--]).size();
      return back;
    }
    following = text.substr(0, longest - 1);
  }
  return history.size();
}

void apply_dry(Candidates& candidates, const SamplerSettings& s, std::span<const int32_t> history,
               const TokenTable* tokens, std::vector<uint32_t>& lengths) {
  if (s.dry_multiplier <= 0 || s.dry_base < 1) return;
  const std::span<const int32_t> window = last_tokens(history, s.dry_penalty_last_n);
  const uint32_t allowed = static_cast<uint32_t>(std::max(s.dry_allowed_length, 1));
  if (window.size() <= allowed) return;
  const size_t limit = tokens && !s.dry_sequence_breakers.empty()
                           ? tokens_after_breaker(window, s.dry_sequence_breakers, *tokens)
                           : window.size();
  if (limit < allowed) return;
  const std::vector<uint32_t> repeats = suffix_repeats(window);
  std::vector<int32_t> ids;
  for (size_t i = 1; i < repeats.size(); ++i) {
    const int32_t follower = window[window.size() - i];
    uint32_t& length = lengths[static_cast<size_t>(follower)];
    if (repeats[i] < allowed) continue;
    if (length == 0) ids.push_back(follower);
    length = std::max(length, std::min(repeats[i], static_cast<uint32_t>(limit)));
  }
  // The largest power that still is a finite penalty.
  const float max_exponent = s.dry_base > 1.000001f ? 88.0f / std::log(s.dry_base) : 1e9f;
  candidates.adjust(ids, [&](int32_t id, float logit) {
    const uint32_t length = lengths[static_cast<size_t>(id)];
    if (length < allowed) return logit;
    const float exponent = std::min(static_cast<float>(length - allowed), max_exponent);
    return logit - std::min(s.dry_multiplier * std::pow(s.dry_base, exponent), 1e30f);
  });
  for (const int32_t id : ids) lengths[static_cast<size_t>(id)] = 0;
}

}  // namespace moebius
