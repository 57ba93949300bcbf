// Two choices of a step that reach from the public API down to the blocks.
#pragma once

#include <cstdint>
#include <functional>

namespace moebius {

// Which of the two MLA graphs a step uses; kAuto follows the phase and the switching rule.
enum class MlaForm { kAuto, kAbsorbed, kExpanded };

// Called with the residual stream: index -1 = embedding, l = after layer l, n_layers = after
// the final norm. rows [n_tokens, hidden_size].
using HiddenObserver = std::function<void(int64_t index, const float* rows, int64_t n_tokens)>;

}  // namespace moebius
