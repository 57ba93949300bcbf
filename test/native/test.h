// A test runner small enough to read: TEST registers, CHECK* record failures with values.
#pragma once

#include <cmath>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace moebius::test {

struct Case {
  const char* name;
  std::function<void()> body;
};
std::vector<Case>& cases();
void fail(const char* file, int line, const std::string& text);
// Prints "skipped: reason" and counts the running case as skipped.
void skip(const std::string& reason);

struct Registrar {
  Registrar(const char* name, std::function<void()> body) { cases().push_back({name, std::move(body)}); }
};

template <typename A, typename B>
void check_equal(const char* file, int line, const char* text, const A& actual, const B& expected) {
  if (actual == expected) return;
  std::ostringstream out;
  out << text << ": got " << actual << ", expected " << expected;
  fail(file, line, out.str());
}

}  // namespace moebius::test

#define MOEBIUS_JOIN_(a, b) a##b
#define MOEBIUS_JOIN(a, b) MOEBIUS_JOIN_(a, b)
#define TEST(name)                                                                        \
  static void name();                                                                     \
  static ::moebius::test::Registrar MOEBIUS_JOIN(registrar_, name)(#name, name);          \
  static void name()
#define CHECK(condition) \
  do { if (!(condition)) ::moebius::test::fail(__FILE__, __LINE__, #condition); } while (0)
#define CHECK_EQ(actual, expected) \
  ::moebius::test::check_equal(__FILE__, __LINE__, #actual " == " #expected, (actual), (expected))
#define CHECK_NEAR(actual, expected, tolerance)                                           \
  do {                                                                                    \
    const double actual_value = (actual), expected_value = (expected);                    \
    if (!(std::fabs(actual_value - expected_value) <= (tolerance))) {                     \
      std::ostringstream near_out;                                                        \
      near_out << #actual << ": got " << actual_value << ", expected " << expected_value; \
      ::moebius::test::fail(__FILE__, __LINE__, near_out.str());                          \
    }                                                                                     \
  } while (0)
// The statement must throw `type`, and the message must contain `text`.
#define CHECK_THROWS(type, text, ...)                                                     \
  do {                                                                                    \
    bool thrown = false;                                                                  \
    try { __VA_ARGS__; } catch (const type& error) {                                      \
      thrown = true;                                                                      \
      if (std::string(error.what()).find(text) == std::string::npos)                      \
        ::moebius::test::fail(__FILE__, __LINE__, std::string("message was: ") + error.what()); \
    }                                                                                     \
    if (!thrown) ::moebius::test::fail(__FILE__, __LINE__, #__VA_ARGS__ " did not throw"); \
  } while (0)
