#include <antiphon/train/mlflow_options.h>

namespace antiphon::train {

const config::Table<MlflowOptions>& mlflow_table() {
  using O = MlflowOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("mlflow")
          .field("uri", &O::uri, "address of the server, http://…; empty: that of MLFLOW_TRACKING_URI")
          .field("experiment", &O::experiment, "name of the experiment, which is made if it is not there")
          .field("run_name", &O::run_name, "of the run; empty: the name of its folder"));
  return *table;
}

}  // namespace antiphon::train
