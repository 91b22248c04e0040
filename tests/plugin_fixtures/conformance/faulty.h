// Components of every kind, each in a sound form, `sound`, and in forms with one fault, by whose names they go:
// `antiphon conformance` must name the fault of each and find no other. A file a kind.
#pragma once
#include <antiphon/component/register.h>

namespace antiphon::fixture {

void add_encoders(plugin::Registrar& registrar);
void add_connectors(plugin::Registrar& registrar);
void add_language_models(plugin::Registrar& registrar);
void add_methods(plugin::Registrar& registrar);
void add_heads(plugin::Registrar& registrar);
void add_objectives(plugin::Registrar& registrar);
void add_optimizers(plugin::Registrar& registrar);
void add_detectors(plugin::Registrar& registrar);
void add_synthesizers(plugin::Registrar& registrar);
void add_sources(plugin::Registrar& registrar);
void add_formats(plugin::Registrar& registrar);
void add_families(plugin::Registrar& registrar);
void add_rewards(plugin::Registrar& registrar);

}  // namespace antiphon::fixture
