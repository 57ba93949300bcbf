// Binding all tensors of a file to the names of the model, and the decoder made of them.
#pragma once

#include <string>
#include <vector>

#include "formats/gguf_model_file.h"
#include "model/derive_config.h"
#include "model/forward.h"

namespace moebius {

// headers_only: shapes are checked, no weight is read, the result cannot run.
// ignored: tensors of the file that nothing uses. Throws Error(kGguf) naming the tensor.
DecoderModel load_decoder(const GgufModelFile& file, ConfigReader& reader, bool headers_only,
                          std::vector<std::string>& ignored);

// experts, shared_experts, attention, dense, head, embedding, norms, router, mtp, other: the
// class a tensor counts to in reports. n_layers is the trunk's.
const char* tensor_class(const std::string& name, int64_t n_layers);

}  // namespace moebius
