"""What takes seconds and has something quicker of its kind beside it: left out of `make test-fast`, in `make test`."""

from __future__ import annotations

import re

LONG = re.compile(
    "|".join(
        (
            r"faults/test_data_rows\.py::test_d11_a_file_that_vanishes",
            r"faults/test_hostile_models\.py::test_m3_a_heap",
            r"faults/test_messages\.py::test_inference_lists",
            r"faults/test_output_rows\.py::test_p1_.*nhwc",
            r"faults/test_write_rows\.py::test_(w1|w3_no_room_for_an_export|w10)",
            r"unit/byom/test_from_onnx\.py::test_keras_applications_through_tf2onnx",
            r"unit/byom/test_from_onnx\.py::test_(what_was_imported|a_keras_file)",
            r"unit/cli/test_inspect\.py::test_too_much_memory",
            r"unit/keras_to_onnx/test_writer\.py::test_zoo_pruned_and_not\[(?!nchw-resnet_18)",
            r"unit/keras_to_onnx/test_writer\.py::test_(tf2onnx_agrees|opsets\[1[38])",
            r"unit/models/test_layer_kinds\.py::test_each_layer\[(?!Conv|Dense|Batch)",
            r"unit/pruning/test_any_graph\.py::test_random_graphs",
            r"unit/pruning/test_any_graph\.py::test_convolutions_of_every_kind.*\[(?!l2)",
            r"unit/pruning/test_budget\.py::test_counted_budgets_are_met_closely\[(?!target_macs-0\.5-l2)",
            r"unit/pruning/test_budget\.py::test_(a_thousand|latency|size|the_cost_of_a_cut.*\[(?!resnet_10))",
            r"unit/pruning/test_pruner\.py::test_(kept_weights.*\[(?!\w+-resnet_10)|efficientnet_with)",
            r"unit/pruning/test_stepwise\.py::test_(each_cut|another_spec|it_goes_on)",
            r"unit/quantization/test_aware\.py::test_(training_learns|the_exported_file.*\[(?!resnet_10))",
            r"unit/quantization/test_(qdq|sensitivity)\.py::.*(entropy|efficientnet|mobilenet|googlenet)",
            r"unit/quantization/test_sensitivity\.py::test_(what_cannot|the_layer_with)",
            r"unit/runtime/test_code_digest\.py::test_what_is_known",
            r"unit/runtime/test_(gpu|import_hooks|threads)\.py::test_(a_hundred|a_rule_imports|the_libraries_obey)",
            r"unit/spec/test_(fuzz|pytorch_convert)\.py::test_any_(mapping|file)",
            r"unit/steps/test_cache\.py::test_(a_training|class_weights_by_name)",
            r"unit/test_site\.py::test_the_site_is_built",
            r"unit/tracking/test_trackers\.py::.*(mlflow|killed|never_answers|clearml|wandb_without)",
            r"unit/training/test_checkpoints\.py::test_a_signal_anywhere\w+\[(?!\(1, 2\))",
            r"unit/training/test_checkpoints\.py::test_(ranges|stopped_again|a_checkpoint_after|a_damaged|all_damaged)",
            r"unit/training/test_checkpoints\.py::test_(another_key|a_loss|a_second|handlers|a_training_that_is_done)",
            r"unit/training/test_distribution\.py",
            r"unit/training/test_distill\.py::test_(it_resumes|without_distill|a_student)",
            r"unit/training/test_loop\.py::test_(it_learns|progress|resume_refuses|checkpoint_interval|validation_interval|frozen|penalty)",
            r"unit/training/test_loop\.py::test_(the_model_ends|each_batch|without_bn|bn_config)",
            r"unit/training/test_pretrained\.py::test_weights_of_keras_applications\w+\[(?!mobilenet_v1)",
            r"unit/vault/test_age\.py::test_ours_opens_another\w+\[(?!5)",
            r"unit/zoo/test_build\.py::test_(efficientnet_b0|resnet_50)_equals",
            r"unit/zoo/test_build\.py::test_(frozen_weights\w+|freeze_ids)\[(?!resnet_10|alexnet)",
            r"unit/zoo/test_build\.py::test_parameter_counts_with_(the|bias)",
            r"unit/zoo/test_build\.py::test_(parameter_counts_with_all_projections|any_size_and_gray).*"
            r"(resnet_(34|50|101|152)|efficientnet|mobilenet|googlenet|darknet)",
            r"unit/zoo/test_build\.py::test_total_stride.*(mobilenet|googlenet|darknet_53)",
            r"unit/zoo/test_every_backbone\.py::.*\[(?!resnet_10|squeezenet|alexnet)",
            r"workflow/test_dag\.py::test_(any_batch_system|another_workflow_uses|experiments_share|lint)",
            r"workflow/test_dag\.py::test_a_change_reruns.*\[(?!evaluate|train\.n_workers|prune\.threshold|export\.data_type)",
            r"workflow/test_resources\.py::test_(nothing_runs_beside|a_profile)",
            r"workflow/test_dag\.py::test_an_image_of_a_table",
            r"workflow/test_dag\.py::test_(the_kubernetes|a_table_or|without_the_experiment|another_precision|two_experiments_at_once)",
        )
    )
)
