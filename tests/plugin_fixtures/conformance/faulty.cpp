#include "faulty.h"

#include <antiphon/plugin/manifest.h>

ANTIPHON_PLUGIN(faulty, "0.1.0") {
  using namespace antiphon::fixture;
  add_encoders(registrar), add_connectors(registrar), add_language_models(registrar), add_methods(registrar);
  add_heads(registrar), add_objectives(registrar), add_optimizers(registrar), add_detectors(registrar);
  add_synthesizers(registrar), add_sources(registrar), add_formats(registrar), add_families(registrar);
  add_rewards(registrar);
  struct None {};
  static const auto* none = new antiphon::config::Table<None>("misspelt");
  registrar.add("encodre", "misspelt", "of a kind that there is not", *none, 0);
}
