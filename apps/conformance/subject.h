// The component under test and how to build it.
#pragma once
#include <antiphon/component/register.h>

#include "report.h"

namespace antiphon::apps::conformance {

struct Subject {
  const plugin::Entry& entry;
  config::Value options;            // a table that makes it small
  std::filesystem::path data = {};  // what it can read: --data
  std::string title() const { return entry.kind + " " + entry.name; }
};

// On the meta device. Error(config) with all problems of the options; `resolved` receives those in force.
template <class Interface, class... Extra>
std::unique_ptr<Interface> build_with(const Subject& subject, const config::Value& options, config::Value& resolved,
                                      Extra... extra) {
  config::Problems problems;
  const PretrainedConfig none;
  const BuildContext context{options, subject.entry.kind + "." + subject.entry.name, none, problems, resolved};
  auto component = create<Interface>(subject.entry.name, context, extra...);
  problems.throw_if_any();
  expect(component != nullptr, "expected a component, got none and no reason");
  return component;
}

template <class Interface, class... Extra>
std::unique_ptr<Interface> build(const Subject& subject, Extra... extra) {
  config::Value resolved;
  return build_with<Interface>(subject, subject.options, resolved, extra...);
}

// Builds from these options and returns those in force.
using Resolve = std::function<config::Value(const config::Value& options)>;
// The options are read by the component's table, and strictly. False if the component cannot be built at all.
bool check_options(Report& report, const Subject& subject, const Resolve& resolve);

template <class Interface, class... Extra>
Resolve resolver(const Subject& subject, Extra... extra) {
  return [=, &subject](const config::Value& options) {
    config::Value resolved;
    build_with<Interface>(subject, options, resolved, extra...);
    return resolved;
  };
}

// Each kind's file registers its checks: const KindChecks registered{KindOf<Objective>::name, check_objective};
using CheckKind = void (*)(Report&, const Subject&);
struct KindChecks {
  KindChecks(const char* kind, CheckKind check);
};

// Runs `body`, which throws; Unmet unless it throws an Error of this kind whose text holds all of `words`.
void expect_error(ErrorKind kind, const std::vector<std::string>& words, const std::function<void()>& body);

}  // namespace antiphon::apps::conformance
