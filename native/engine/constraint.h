// Constraints for one answer over a model's vocabulary, compiled from text. The text is not
// trusted: both throw Error(kGrammar) that says where it does not parse.
#pragma once

#include <memory>
#include <string>

#include "sampling/token_constraint.h"

namespace moebius {

class Model;

// A grammar in GBNF.
std::unique_ptr<TokenConstraint> grammar_constraint(const Model& model, const std::string& gbnf);

// The JSON values that a JSON schema (as JSON text) accepts.
std::unique_ptr<TokenConstraint> json_schema_constraint(const Model& model, const std::string& json_schema);

}  // namespace moebius
