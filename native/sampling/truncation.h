// The stages that drop unlikely tokens (and, for XTC, the likeliest). Each keeps at least one
// token. Formulas: engine handbook 3.10; min-p arXiv 2407.01082, typical arXiv 2202.00666,
// top-n-sigma arXiv 2411.07641.
#pragma once

#include <cstdint>

#include "sampling/candidates.h"

namespace moebius {

// Keeps l >= l_max - n * standard deviation of the logits.
void keep_top_n_sigma(Candidates& candidates, float n);
// Keeps the smallest prefix of the sorted tokens whose probabilities sum to >= p.
void keep_top_p(Candidates& candidates, float p);
// Keeps p_i >= min_p * p_max, that is l >= l_max + ln(min_p).
void keep_min_p(Candidates& candidates, float min_p);
// Keeps the tokens whose surprise is nearest the entropy, as many as sum to >= p.
void keep_typical(Candidates& candidates, float p);
// Drops every token with p_i >= threshold but the least likely of them.
void exclude_top_choices(Candidates& candidates, float threshold);
// Keeps the tokens with a surprise of at most mu bits (mirostat v2).
void keep_surprise_below(Candidates& candidates, float mu);
// l = (l - l_max) / temperature; temperature > 0.
void apply_temperature(Candidates& candidates, float temperature);

}  // namespace moebius
