// Which tokens end an answer.
#pragma once

namespace moebius {

struct CheckedVocabulary;

// Fills data.eot_id, data.eom_id (when the file has none) and end_of_generation from the ids
// and from well-known spellings; such tokens become control tokens whatever the file says.
void find_end_of_generation(CheckedVocabulary& checked);

}  // namespace moebius
