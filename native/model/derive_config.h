// From metadata and tensor table to a ModelConfig, in the order of the rules: trunk and MTP
// layers, common dimensions, then the architecture's own. Everything read is noted with its
// origin, and what had to be guessed is a warning.
#pragma once

#include "model/config.h"
#include "model/config_reader.h"

namespace moebius {

// Throws Error(kGguf) naming the key and what was expected, or Error(kUnsupported) for an
// architecture or variant that cannot run.
ModelConfig derive_config(ConfigReader& reader);

// Shared by the architectures -----------------------------------------------------------

// How one family reads its MoE keys; values the file does not carry.
struct MoeFamily {
  ScoreFunc score_func = ScoreFunc::kSoftmax;
  bool reads_score_func = false;  // from expert_gating_func
  bool normalizes_weights = false;
  bool reads_normalizes = false;    // from expert_weights_norm
  int64_t expert_feed_forward = 0;  // when expert_feed_forward_length is absent
};
// Reads expert counts, groups, score function, scale; marks layers from n_dense_layers on as
// MoE (every step-th). Does nothing in a file without experts.
void configure_moe(ConfigReader& reader, ModelConfig& config, const MoeFamily& family);

// attention.sliding_window for every layer the pattern names: flags per layer, or an integer
// P for layers with i % P < P - 1, 0 for all.
void configure_windows(ConfigReader& reader, ModelConfig& config, int64_t default_pattern);

}  // namespace moebius
