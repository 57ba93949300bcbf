// A backend whose library is not there: an object that says why.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"
#include "kernels/backend.h"

namespace moebius {

class MissingBackend : public Backend {
 public:
  MissingBackend(const char* id, std::string reason) : id_(id), reason_(std::move(reason)) {}
  const char* id() const override { return id_; }
  bool available() const override { return false; }
  std::string unavailable_reason() const override { return reason_; }
  std::string device_name() const override { return ""; }
  std::string level() const override { return ""; }
  const KernelTable& kernels() const override { throw Error(ErrorCode::kUnsupported, reason_); }

 private:
  const char* id_;
  std::string reason_;
};

}  // namespace moebius
