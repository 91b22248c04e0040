"""The faults that tools/mutations.py plants into training by several processes, and the test that must fail of each."""

from typing import NamedTuple


class Mutation(NamedTuple):
    name: str  # what is wrong then
    file: str  # below core/antiphon
    text: str  # stands there exactly once
    other: str
    test: str  # "test_AREA: name of a Catch2 case", or "distributed/X_test.py: Class.test"


GRADIENTS = "test_parallel: gradients of several processes are those of one that has all batches"
CUT_UP = "test_parallel: gradients of a model that is cut up are those of a whole one"
CONTEXTS = "test_parallel: a decoder whose tokens are divided among processes gives the gradients of one"
STAGES = "test_parallel: a pipeline of processes gives the gradients of one, under every schedule"
EXPERTS = "test_parallel: experts that are divided among processes: loss and gradients are those of one"
PARTS = "test_nn: a decoder that several processes compute together: loss and gradients are those of one"
BITS = "distributed/replicate_test.py: Replicate.test_two_batches_a_step_to_the_bit"
FAMILIES = "distributed/families_test.py: Families."
VERIFIED = "distributed/verify_test.py: Verified."
SMOOTHED = "distributed/tensor_test.py: Tensor.test_smoothed"

SEND = "{ bucket.wait_for_it = group_.begin_sum(bucket.flat); }"
OWN_ROWS = "x.split_with_sizes({0})[static_cast<size_t>({1}.rank())].contiguous()"
GIVEN_BACK = 'return {back(grads[0], context->saved_data["sizes"].toIntVector(), group_in(context)), {}, {}, {}};'
OF_CELLS = "if (rank == first) std::ranges::transform"

TABLE = [
    # Gradients of copies of a model.
    Mutation("a bucket is not added up", "parallel/gradient_sum.cpp", SEND, "{ if (bucket.first == 0) bucket.wait_for_it = [] {}; else bucket.wait_for_it = group_.begin_sum(bucket.flat); }", GRADIENTS),
    Mutation("a bucket is added up twice", "parallel/gradient_sum.cpp", SEND, "{ group_.sum(bucket.flat), bucket.wait_for_it = group_.begin_sum(bucket.flat); }", GRADIENTS),
    Mutation("what all have whole is added up by nobody", "parallel/alike.cpp", "by_numbers[everyone].push_back(parameter);", "by_numbers[{number}].push_back(parameter);", CONTEXTS),
    Mutation("tied embeddings of two stages are not added up", "parallel/alike.cpp", "by_numbers[numbers].push_back(parameter);", "by_numbers[{number}].push_back(parameter);", STAGES),
    # Of cut-up models.
    Mutation("rows of gradients are not added up", "parallel/unit.cpp", "if (!own.empty()) summing_ = group_->begin_scatter_sum(parts, own);", "for (size_t k = 0; k < own.size(); ++k) own[k].copy_(parts[static_cast<size_t>(group_->rank())][k]);", CUT_UP),
    Mutation("rows of gradients are added up twice", "parallel/unit.cpp", "      add(i, sum);\n      continue;", "      add(i, sum), add(i, sum);\n      continue;", CUT_UP),
    Mutation("copies of a cut-up model are not added up", "parallel/sharded.cpp", "if (replicas_) add_over(*replicas_, unit->own());", "", CUT_UP),
    Mutation("copies of a cut-up model are added up twice", "parallel/sharded.cpp", "if (replicas_) add_over(*replicas_, unit->own());", "if (replicas_) add_over(*replicas_, unit->own()), add_over(*replicas_, unit->own());", CUT_UP),
    Mutation("what parts of a cut-up model have alike is not added up", "parallel/sharded.cpp", "if (held.group) add_over(*held.group, held.parameters);", "", "distributed/tensor_test.py: Tensor.test_cut_up_as_well"),
    Mutation("a sum leaves out the second process", "comm/group.cpp", "for (size_t i = 1; i < parts.size(); ++i) total.add_(parts[i]);", "for (size_t i = 2; i < parts.size(); ++i) total.add_(parts[i]);", CUT_UP),
    Mutation("gathered weights count as those of the last step", "parallel/unit.cpp", "if (member.whole.requires_grad()) member.whole.unsafeGetTensorImpl()->bump_version();", "static_cast<void>(member);", "test_parallel: what is cut up has no memory until it is used, and its values come back"),
    Mutation("a block without an anchor has no backward pass", "parallel/block_window.cpp", "const auto any = at::empty({0}, y.options()).set_requires_grad(true);", "const auto any = at::empty({0}, y.options().requires_grad(false));", "test_parallel: what is exchanged does not depend on which process has which media"),
    # Of parts, contexts, stages and experts.
    Mutation("the slice of a sum is of the own values", "nn/token_slices.cpp", "group.begin_scatter_sum(pieces_of(x.detach().contiguous(), sizes), {own})();", f"own.copy_({OWN_ROWS.format('sizes', 'group')}.detach());", PARTS),
    Mutation("gradients of gathered tokens are not added up", "nn/token_slices.cpp", GIVEN_BACK, f"const auto of = context->saved_data[\"sizes\"].toIntVector(); if (back == summed) return {{{OWN_ROWS.format('of', 'group_in(context)').replace('x.', 'grads[0].', 1)}, {{}}, {{}}, {{}}}}; {GIVEN_BACK}", PARTS),
    Mutation("each part adds the bias", "nn/linear/linear.cpp", "return over_ && over_->rank() > 0 ? at::Tensor() : bias;", "return bias;", PARTS),
    Mutation("each part adds an embedding of its own", "nn/rows_of_part.cpp", "return x * is_own.unsqueeze(-1).to(x.scalar_type());", "return x;", PARTS),
    Mutation("a normaliser is of the own part of the vocabulary", "nn/token_scores.cpp", "* all.select(2, 1)).sum(0);", "* all.select(2, 1)).select(0, o.group ? o.group->rank() : 0);", PARTS),
    Mutation("each part has a logit for the label", "nn/token_scores.cpp", "wide.gather(1, index).squeeze(1) * own};", "wide.gather(1, index).squeeze(1)};", PARTS),
    Mutation("lengths of rows are of the own inputs", "nn/linear/linear.cpp", "if (linear_.over_) linear_.over_->sum(sums);", "", "distributed/tensor_test.py: Tensor.test_starts_and_lengths_of_rows"),
    Mutation("a scale of fp8 is the process's own", "nn/linear/float8_linear.cpp", "if (together) together->largest(scale);", "", "distributed/tensor_test.py: Tensor.test_fp8"),
    Mutation("all heads are those of the first context", "nn/token_slices.cpp", "for (const auto& pieces : from) heads.push_back(pieces.front());", "heads.assign(from.size(), from.front().front());", CONTEXTS),
    Mutation("key heads are repeated in another order", "nn/blocks/decoder.cpp", "return to_heads(x.unsqueeze(2).expand(shape).flatten(1, 2), sizes, group);", "return to_heads(x.repeat({1, kv_repeats_, 1}), sizes, group);", CONTEXTS),
    Mutation("a stage sends its gradient twice as large", "nn/pipeline_stage.cpp", "stage_in(context).send(grads[0].contiguous(), sums_in(context), -1, tag);", "stage_in(context).send((grads[0] * 2).contiguous(), sums_in(context), -1, tag);", STAGES),
    Mutation("a stage forgets what those before it counted", "nn/pipeline_stage.cpp", "sums->set_counted(numbers);", "", "distributed/pipeline_test.py: Pipeline.test_experts"),
    Mutation("the balance of experts is of the own tokens", "nn/blocks/router_losses.cpp", "if (balance_) balance_->add_up(*slices);", "", EXPERTS),
    Mutation("the balance of experts is added up twice", "nn/blocks/router_losses.cpp", "if (sums_.defined()) group.sum(sums_);", "if (sums_.defined()) group.sum(sums_), group.sum(sums_);", EXPERTS),
    Mutation("key and value heads that are few are those of another process", "nn/token_slices.cpp", "Part{all * rank / size, 1}", "Part{rank % all, 1}", "distributed/tensor_test.py: Tensor.test_fewer_key_and_value_heads"),
    Mutation("what is added after blocks goes to the wrong stage", "nn/blocks/later_states.cpp", "pieces.end(), added.after.end() - blocks);", "pieces.end(), added.after.begin());", FAMILIES + "test_what_is_added_after_blocks"),
    Mutation("what is added after blocks goes to the first tokens of a slice", "model/added_states.cpp", "(tokens_n.narrow(0, begin, count) - own.begin)", "(tokens_n.narrow(0, 0, count))", FAMILIES + "test_what_is_added_after_blocks"),
    Mutation("positions of a context are those of the first", "nn/blocks/decoder.cpp", "input.positions_at.narrow(1, context.begin, context.size);", "input.positions_at.narrow(1, 0, context.size);", CONTEXTS),
    Mutation("lengths of a context's texts are those of the first's", "nn/blocks/decoder.cpp", "last_positions(input).narrow(0, context.begin, context.size)", "last_positions(input).narrow(0, 0, context.size)", FAMILIES + "test_matrices_that_a_file_has_as_one"),
    # What is random.
    Mutation("all processes drop alike", "train/trainer_step.cpp", "loader_.share().first + step_rows_[static_cast<size_t>(batch)]);", "step_rows_[static_cast<size_t>(batch)]);", BITS),
    Mutation("all contexts drop alike", "nn/blocks/decoder.cpp", "slices_.contexts ? slices_.of_context(tokens).begin : DropoutRows::first()", "DropoutRows::first()", "distributed/context_test.py: Context.test_lora"),
    Mutation("all parts of a row drop alike", "nn/keyed_dropout.cpp", "place.first_row * columns + place.first_column, columns", "place.first_row * columns, columns", "test_nn: keyed dropout: a part of a tensor is dropped as it is in the whole"),
    # What is agreed on.
    Mutation("each process divides by its own tokens", "train/together.cpp", OF_CELLS, "if (rank == first && rank == group_.rank()) std::ranges::transform", BITS),
    Mutation("tokens of a cell count once for each process", "train/together.cpp", OF_CELLS, "std::ranges::transform", SMOOTHED),
    Mutation("the loss is that of the last cell", "train/together.cpp", "all.loss += real(numbers[0]);", "all.loss = real(numbers[0]);", BITS),
    Mutation("the loss of a pipeline is its first stage's", "train/together.cpp", "const auto& numbers = of_all[static_cast<size_t>(mesh_.last_of(cell))];", "const auto& numbers = of_all[static_cast<size_t>(mesh_.first_of(cell))];", "distributed/pipeline_test.py: Pipeline.test_quantized_base"),
    Mutation("the norm counts twice what two parts have", "train/optimizer.cpp", "if (!joint || joint->counts(parameter)) counted.push_back", "counted.push_back", SMOOTHED),
    Mutation("the norm is of the own gradients", "train/optimizer.cpp", "if (joint) norm = std::sqrt(joint->add_up(norm * norm));", "", "distributed/copies_test.py: Copies.test_parts"),
    Mutation("running statistics are not added up", "train/trainer.cpp", "if (auto* group = agreement_.group()) group->sum(sum);", "", "distributed/replicate_test.py: Replicate.test_batch_statistics"),
    Mutation("held-out losses are of the own samples", "run/held_out.cpp", "group_->sum(total);", "", "distributed/replicate_test.py: Replicate.test_held_out_losses"),
    Mutation("only what the world calls is compared", "train/together.cpp", "Numbers numbers;\n  for (const auto* each : group.with_ledgers())", "Numbers numbers;\n  for (const auto* each : {&group})", "test_train: processes that have called different things in one of their groups learn which"),
    Mutation("gradients that were computed twice are not compared", "train/trainer_verify.cpp", "described(differing(first, gradient_prints(trained, exact)), loss, again.loss, exact);", "described({}, loss, again.loss, exact);", VERIFIED + "test_a_gradient_that_is_wrong_once"),
    Mutation("statistics of a step that is computed twice move twice", "train/trainer_verify.cpp", "  put_statistics_back();\n", "", VERIFIED + "test_running_statistics_and_experts"),
    Mutation("the own pairs are taken for the first", "parallel/gather_rows.cpp", "if (rank < group->rank()) gathered.first += counts[static_cast<size_t>(rank)];", "", "test_parallel: rows of all processes, and where the own ones are among them"),
]
