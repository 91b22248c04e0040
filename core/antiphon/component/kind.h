// Kinds of components. An interface's header says beside it what kind it is:
//   template <>
//   struct KindOf<Encoder> : Kind<> {
//     static constexpr const char* name = "encoder";
//   };
#pragma once
#include <functional>
#include <memory>

namespace antiphon {

struct BuildContext;  // register.h

// `Extra`: what a factory of the kind gets besides the context.
template <class... Extra>
struct Kind {
  template <class Interface>
  using Factory = std::function<std::unique_ptr<Interface>(const BuildContext&, Extra...)>;
};

// `name` is what manifests, the registry and `antiphon inspect` call the kind.
template <class Interface>
struct KindOf;

template <class Interface>
using FactoryOf = typename KindOf<Interface>::template Factory<Interface>;

}  // namespace antiphon
