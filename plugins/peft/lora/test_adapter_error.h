// For tests of stacks and experts.
#pragma once
#include <antiphon/base/error.h>

#include <string>

#include <catch2/catch_test_macros.hpp>

namespace antiphon::lora {

// What is said of a folder that cannot be loaded; empty: it can.
template <class Load>
std::string adapter_error(const Load& load) {
  try {
    load();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::weights);
    return error.what();
  }
  return {};
}

}  // namespace antiphon::lora
