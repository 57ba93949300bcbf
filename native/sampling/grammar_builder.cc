#include "sampling/grammar_builder.h"

#include <algorithm>

#include "base/error.h"

namespace moebius {

using Kind = Grammar::Kind;

namespace {

// A node of a directed graph that lies on a cycle, or -1. Depth first with an explicit stack,
// since rules may be chained tens of thousands deep.
int64_t find_cycle(const std::vector<std::vector<uint32_t>>& edges) {
  enum : char { kNew, kOpen, kDone };
  std::string marks(edges.size(), kNew);
  std::vector<std::pair<uint32_t, size_t>> path;  // node, next edge to follow
  for (uint32_t first = 0; first < edges.size(); ++first) {
    if (marks[first] != kNew) continue;
    marks[first] = kOpen;
    path.emplace_back(first, 0);
    while (!path.empty()) {
      const uint32_t node = path.back().first;
      if (path.back().second == edges[node].size()) {
        marks[node] = kDone;
        path.pop_back();
        continue;
      }
      const uint32_t next = edges[node][path.back().second++];
      if (marks[next] == kOpen) return next;
      if (marks[next] == kDone) continue;
      marks[next] = kOpen;
      path.emplace_back(next, 0);
    }
  }
  return -1;
}

}  // namespace

uint32_t GrammarBuilder::add_rule(std::string name) {
  count_elements(1);
  grammar_.rules_.push_back({std::move(name), {}});
  alternatives_.emplace_back();
  return static_cast<uint32_t>(grammar_.rules_.size() - 1);
}

void GrammarBuilder::count_elements(size_t n) {
  n_elements_ += n;
  if (n_elements_ > limits_.max_elements)
    throw Error(ErrorCode::kGrammar, format_text("grammar is too large: more than %zu elements once compiled", limits_.max_elements));
}

void GrammarBuilder::add_alternative(uint32_t rule, const Sequence& sequence) {
  count_elements(sequence.size() + 1);
  alternatives_[rule].push_back(sequence);
}

uint32_t GrammarBuilder::byte_set(const Grammar::ByteSet& set) {
  const auto [entry, added] =
      byte_set_indices_.emplace(set.to_string(), static_cast<uint32_t>(grammar_.byte_sets_.size()));
  if (added) grammar_.byte_sets_.push_back(set);
  return entry->second;
}

Grammar::Element GrammarBuilder::bytes_element(uint8_t first, uint8_t last) {
  Grammar::ByteSet set;
  for (int byte = first; byte <= last; ++byte) set.set(static_cast<size_t>(byte));
  return {Kind::kBytes, byte_set(set)};
}

Grammar::Element GrammarBuilder::character(const CodePointSet& set) {
  Grammar::ByteSet single;
  std::vector<Utf8Pattern> longer;
  for (const Utf8Pattern& pattern : utf8_patterns(set)) {
    if (pattern.length > 1) {
      longer.push_back(pattern);
      continue;
    }
    for (int byte = pattern.bytes[0].first; byte <= pattern.bytes[0].last; ++byte) single.set(static_cast<size_t>(byte));
  }
  if (longer.empty()) return {Kind::kBytes, byte_set(single)};
  std::vector<std::pair<uint32_t, uint32_t>> key;
  for (const CodePointSpan& span : set) key.emplace_back(span.first, span.last);
  const auto known = character_rules_.find(key);
  if (known != character_rules_.end()) return rule_element(known->second);
  const uint32_t rule = add_rule("");
  character_rules_.emplace(std::move(key), rule);
  if (single.any()) add_alternative(rule, {{Kind::kBytes, byte_set(single)}});
  for (const Utf8Pattern& pattern : longer) {
    Sequence sequence;
    for (uint32_t i = 0; i < pattern.length; ++i)
      sequence.push_back(bytes_element(pattern.bytes[i].first, pattern.bytes[i].last));
    add_alternative(rule, sequence);
  }
  return rule_element(rule);
}

void GrammarBuilder::append_literal(uint32_t code_point, Sequence& out) {
  const Utf8Pattern pattern = utf8_patterns({{code_point, code_point}})[0];
  for (uint32_t i = 0; i < pattern.length; ++i)
    out.push_back(bytes_element(pattern.bytes[i].first, pattern.bytes[i].first));
}

uint32_t GrammarBuilder::single_rule(const Sequence& item) {
  if (item.size() == 1 && item[0].kind == Kind::kRule) return item[0].value;
  const uint32_t rule = add_rule("");
  add_alternative(rule, item);
  return rule;
}

GrammarBuilder::Sequence GrammarBuilder::repeat(const Sequence& item, size_t least, int64_t most) {
  if (item.empty() || most == 0) return {};
  const Grammar::Element unit = item.size() == 1 ? item[0] : rule_element(single_rule(item));
  Sequence out(least, unit);
  count_elements(least);
  if (most < 0) {
    // rest ::= unit rest |
    const uint32_t rest = add_rule("");
    add_alternative(rest, {unit, rule_element(rest)});
    add_alternative(rest, {});
    out.push_back(rule_element(rest));
    return out;
  }
  // rest_n ::= unit rest_(n-1) | , so that the matcher's stack does not grow with n.
  uint32_t rest = 0;
  bool have_rest = false;
  for (size_t i = least; i < static_cast<size_t>(most); ++i) {
    const uint32_t next = add_rule("");
    add_alternative(next, have_rest ? Sequence{unit, rule_element(rest)} : Sequence{unit});
    add_alternative(next, {});
    rest = next;
    have_rest = true;
  }
  if (have_rest) out.push_back(rule_element(rest));
  return out;
}

std::vector<bool> GrammarBuilder::nullable_rules() const {
  std::vector<bool> nullable(alternatives_.size());
  // Which rules' alternatives mention a rule, so that each is looked at again only on change.
  std::vector<std::vector<uint32_t>> users(alternatives_.size());
  std::vector<uint32_t> work;
  for (uint32_t rule = 0; rule < alternatives_.size(); ++rule) {
    work.push_back(rule);
    for (const Sequence& sequence : alternatives_[rule])
      for (const Grammar::Element& element : sequence)
        if (element.kind == Kind::kRule && (users[element.value].empty() || users[element.value].back() != rule))
          users[element.value].push_back(rule);
  }
  const auto empty_possible = [&](const Sequence& sequence) {
    return std::all_of(sequence.begin(), sequence.end(),
                       [&](const Grammar::Element& e) { return e.kind == Kind::kRule && nullable[e.value]; });
  };
  while (!work.empty()) {
    const uint32_t rule = work.back();
    work.pop_back();
    if (nullable[rule]) continue;
    if (!std::any_of(alternatives_[rule].begin(), alternatives_[rule].end(), empty_possible)) continue;
    nullable[rule] = true;
    work.insert(work.end(), users[rule].begin(), users[rule].end());
  }
  return nullable;
}

// Rules from groups and repetitions go by the nearest named rule before them.
std::string GrammarBuilder::name_of(uint32_t rule) const {
  while (rule > 0 && grammar_.rules_[rule].name.empty()) --rule;
  return grammar_.rules_[rule].name.empty() ? "root" : grammar_.rules_[rule].name;
}

void GrammarBuilder::check_left_recursion() const {
  const std::vector<bool> nullable = nullable_rules();
  // starts[r]: the rules an alternative of r can begin with.
  std::vector<std::vector<uint32_t>> starts(alternatives_.size());
  for (uint32_t rule = 0; rule < alternatives_.size(); ++rule)
    for (const Sequence& sequence : alternatives_[rule])
      for (const Grammar::Element& element : sequence) {
        if (element.kind != Kind::kRule) break;
        starts[rule].push_back(element.value);
        if (!nullable[element.value]) break;
      }
  const int64_t rule = find_cycle(starts);
  if (rule < 0) return;
  throw Error(ErrorCode::kGrammar,
              format_text("grammar rule '%.60s' is left-recursive: it can begin with itself",
                          name_of(static_cast<uint32_t>(rule)).c_str()),
              "Put what must come first before the recursive use; a repeated part must not match the empty text.");
}

void GrammarBuilder::make_byte_classes() {
  std::map<std::vector<bool>, uint32_t> classes;
  for (int byte = 0; byte < 256; ++byte) {
    std::vector<bool> signature;
    for (const Grammar::ByteSet& set : grammar_.byte_sets_) signature.push_back(set.test(static_cast<size_t>(byte)));
    const auto [entry, added] = classes.emplace(std::move(signature), static_cast<uint32_t>(classes.size()));
    if (added) grammar_.class_examples_.push_back(static_cast<uint8_t>(byte));
    grammar_.byte_classes_[static_cast<size_t>(byte)] = entry->second;
  }
  grammar_.n_byte_classes_ = static_cast<uint32_t>(classes.size());
}

std::shared_ptr<const Grammar> GrammarBuilder::finish(uint32_t root) {
  check_left_recursion();
  for (uint32_t rule = 0; rule < alternatives_.size(); ++rule) {
    for (const Sequence& sequence : alternatives_[rule]) {
      grammar_.rules_[rule].alternatives.push_back(static_cast<uint32_t>(grammar_.elements_.size()));
      grammar_.elements_.insert(grammar_.elements_.end(), sequence.begin(), sequence.end());
      grammar_.elements_.push_back({Kind::kEnd, 0});
    }
  }
  grammar_.root_ = root;
  make_byte_classes();
  return std::make_shared<const Grammar>(std::move(grammar_));
}

}  // namespace moebius
