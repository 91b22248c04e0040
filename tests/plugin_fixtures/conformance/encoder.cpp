#include "encoder.h"

#include "faulty.h"

namespace antiphon::fixture {
namespace encoder {
namespace {

template <Fault fault>
void add_encoder(plugin::Registrar& registrar, const char* name) {
  register_component<Encoder, RowEncoder<fault>>(registrar, name, "a fixture", options_table());
}

}  // namespace
}  // namespace encoder

void add_encoders(plugin::Registrar& registrar) {
  using namespace encoder;
  add_encoder<Fault::none>(registrar, "sound");
  add_encoder<Fault::lying_grid>(registrar, "lying_grid");
  add_encoder<Fault::cut_gradient>(registrar, "cut_gradient");
  add_encoder<Fault::global_generator>(registrar, "global_generator");
  add_encoder<Fault::foreign_exception>(registrar, "foreign_exception");
  add_encoder<Fault::shared_state>(registrar, "shared_state");
  add_encoder<Fault::unnamed_parameter>(registrar, "unnamed_parameter");
}

}  // namespace antiphon::fixture
