// Binding all tensors of a file to the names of the model, and the decoder made of them.
#pragma once

#include <string>
#include <vector>

#include "formats/gguf_model_file.h"
#include "model/derive_config.h"
#include "model/forward.h"

namespace moebius {

// headers_only: shapes are checked, no weight is read, the result cannot run.
// ignored: tensors of the file that nothing uses. experts_stay: stream_experts() follows.
// Throws Error(kGguf) naming the tensor.
DecoderModel load_decoder(const GgufModelFile& file, ConfigReader& reader, bool headers_only,
                          std::vector<std::string>& ignored, bool experts_stay = false);

// From now on the routed experts are read into `expert_memory` bytes of their own when they are
// chosen; their mapped pages are not touched. The file must outlive the model. Throws
// Error(kMemory) for too little memory, Error(kUnsupported) for a model without experts.
void stream_experts(const GgufModelFile& file, uint64_t expert_memory, DecoderModel& model);

// experts, shared_experts, attention, dense, head, embedding, norms, router, mtp, other: the
// class a tensor counts to in reports. n_layers is the trunk's.
const char* tensor_class(const std::string& name, int64_t n_layers);

}  // namespace moebius
