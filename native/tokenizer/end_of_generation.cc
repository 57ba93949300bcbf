#include "tokenizer/end_of_generation.h"

#include <algorithm>

#include "tokenizer/checked_vocabulary.h"

namespace moebius {

namespace {

// In order of preference for the end of a turn.
constexpr std::string_view kEndOfTurnNames[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>",
    "<EOT>", "_<EOT>", "[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>",
};

constexpr std::string_view kEndOfMessageName = "<|eom_id|>";

// Besides the ends of turns and messages. Fill-in-the-middle padding and file separators mean
// that the model has left the file it was completing.
constexpr std::string_view kOtherEndNames[] = {
    "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "</s>", "[EOS]", "<eos>", "<turn|>", "<|tool_response>",
    "[e~[", "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>",
    "<REPO>", "<reponame>", "<|file_sep|>",
};

class EndFinder {
 public:
  explicit EndFinder(CheckedVocabulary& checked) : c_(checked) {}

  bool has(std::string_view name) const { return c_.by_text.find(name) >= 0; }

  // Marks the token called `name`, if there is one, and returns its id.
  int32_t mark(std::string_view name) {
    const int32_t id = c_.by_text.find(name);
    if (id < 0) return kNoToken;
    c_.types[static_cast<size_t>(id)] = TokenType::kControl;
    add(id);
    return id;
  }

  void add(int32_t id) {
    if (id != kNoToken && std::find(ids_.begin(), ids_.end(), id) == ids_.end()) ids_.push_back(id);
  }

  void remove(std::string_view name) { std::erase(ids_, c_.by_text.find(name)); }

  std::vector<int32_t> sorted() {
    std::sort(ids_.begin(), ids_.end());
    return ids_;
  }

 private:
  CheckedVocabulary& c_;
  std::vector<int32_t> ids_;
};

}  // namespace

void find_end_of_generation(CheckedVocabulary& c) {
  EndFinder finder(c);
  for (const std::string_view name : kEndOfTurnNames) {
    const int32_t id = finder.mark(name);
    if (c.data.eot_id == kNoToken) c.data.eot_id = id;
  }
  const int32_t end_of_message = finder.mark(kEndOfMessageName);
  if (c.data.eom_id == kNoToken) c.data.eom_id = end_of_message;
  for (const std::string_view name : kOtherEndNames) finder.mark(name);
  // In gpt-oss and Solar <|end|> closes one channel, not the answer.
  const bool channels = (finder.has("<|return|>") && finder.has("<|call|>")) ||
                        (finder.has("<|flush|>") && (finder.has("<|call|>") || finder.has("<|calls|>")));
  if (channels) {
    finder.remove("<|end|>");
    if (c.data.eot_id == c.by_text.find("<|end|>")) c.data.eot_id = kNoToken;
  }
  if (finder.has("<|tool_response>")) finder.remove("</s>");
  finder.add(c.data.eos_id);
  finder.add(c.data.eot_id);
  finder.add(c.data.eom_id);
  c.end_of_generation = finder.sorted();
}

}  // namespace moebius
