"""Public reports of people who do what the course teaches, each as a test of the right value.

`TESTED` lists the reports whose test is in the file of the module that was wrong. The others, and
the values at the limits of what is allowed, are tested here.
"""

import ast
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from image_sets import encoded, make_set, photograph
from PIL import Image, ImageCms
from tiny_runs import Photos, head

from tutorial_utils import data, evaluation, features, models, plots, training
from tutorial_utils.own_images import classifier, prediction

HERE = Path(__file__).parent
TESTED = {
    "az-deep-batch-score 22: Run All twice": "notebooks/test_lessons.py::"
    "test_nbval_agrees_with_the_stored_outputs_twice_in_one_kernel",
    "nunif 256: a very thin image": "support/test_image_files.py::"
    "test_very_thin_images_are_not_decoded_on_any_way_in",
    "pytorch/tutorials 395: more than two classes": "faults/test_faults_lessons.py::"
    "test_a_lesson_takes_more_classes_with_odd_names",
    "matplotlib 20266: a$$b": "plots/test_plots_style.py::test_figures_take_any_name",
    "matplotlib 5200: _ants": "plots/test_plots_style.py::test_a_name_is_written_as_it_is",
    "a sign that the font lacks": "plots/test_plots_style.py::"
    "test_signs_that_the_font_lacks_are_reported_once",
    "tmplot 6: fewer images than the perplexity": "faults/test_faults_lessons.py::"
    "test_a_lesson_takes_few_validation_images",
    "ig65m-pytorch 36: a download that is cut": "faults/test_faults_downloads.py::"
    "test_a_bad_answer_is_named_and_changes_no_file",
    "MonoCD 19: a silent server": "faults/test_faults_downloads.py::"
    "test_a_server_that_never_ends_is_given_up",
    "pytorch-gd-uap 2: a broken file in torch hub's folder": "faults/test_faults_weights.py::"
    "test_commands_check_what_they_print",
    "a learning rate of 1": "faults/test_faults_lessons.py::"
    "test_a_lesson_takes_every_learning_rate",
    "allosaurus 73: a terminal that lacks a letter": "faults/test_faults_command_line.py::"
    "test_letters_that_the_terminal_lacks_are_written_in_another_way",
    "a folder named 2024": "faults/test_faults_command_line.py::"
    "test_a_text_that_looks_like_a_number_is_given_in_quotes",
    "papermill 638: NoSuchKernel": "faults/test_faults_batch.py::"
    "test_a_kernel_that_is_not_installed_is_named_with_its_cure",
    "Ctrl-C in lessons": "faults/test_faults_batch.py::"
    "test_ctrl_c_leaves_the_table_of_the_finished_lessons",
    "200 classes": "faults/test_faults_lessons.py::test_lesson_12_takes_two_hundred_classes",
    "200 classes in a figure": "plots/test_training_curves.py::"
    "test_confusion_of_hundreds_of_classes_stays_small",
    "a full disk while a model is written": "faults/test_faults_stored.py::"
    "test_a_model_that_cannot_be_written_leaves_the_one_before",
    "VGG16 in little memory": "test_lesson.py::test_vgg16_needs_its_memory_before_any_work",
    ".ipynb_checkpoints as a class": "test_data.py::test_audit_counts_what_is_odd",
    "truncated and HTML files": "test_data.py::test_load_skips_problems_by_name",
    "a photograph on its side": "support/test_image_files.py::test_rotated_by_its_exif_orientation",
    "a panorama": "support/test_image_files.py::test_a_long_panorama_is_decoded",
    "16 bits": "support/test_image_files.py::test_grey_of_16_bits",
    "a phone's MPO file": "support/test_image_files.py::test_the_content_decides_the_format",
    "Adobe's CMYK": "support/test_image_files.py::test_cmyk",
    "a transparent palette": "support/test_image_files.py::test_palettes",
    "a TIFF of several pages": "faults/test_faults_images.py::"
    "test_an_odd_but_legal_image_is_read_the_same_on_every_way_in",
    "a user whom the system does not know": "faults/test_faults_cache.py::"
    "test_a_user_who_is_in_no_list_and_has_no_home_folder",
    "a pickle with commands": "cli/test_predict.py::"
    "test_a_file_that_is_no_model_is_an_error_before_any_image",
    "ONNX with another batch size": "own_images/test_onnx_export.py::"
    "test_the_export_gives_the_same_logits",
}


@pytest.mark.parametrize("report", TESTED)
def test_the_test_of_a_report_is_where_the_table_says(report):
    path, _, name = TESTED[report].partition("::")
    tree = ast.parse((HERE / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Return seven images of two classes: five in train, two in val."""
    return data.load(make_set(tmp_path_factory.mktemp("set") / "mine"), quiet=True)


@pytest.mark.parametrize("batch_size", [1, 2, 4, 5, 1024])
def test_a_last_batch_of_one_and_a_batch_larger_than_the_set_count_every_image(batch_size):
    network = head()
    loader = data.loader(Photos(count=5), batch_size=batch_size)
    history = training.fit(network, loader, val=loader, epochs=1, lr=1e-3, seed=0, quiet=True)
    assert history.last.train.total == history.last.val.total == 5
    predicted = evaluation.predict(network, loader)
    assert history.last.val.correct == int(predicted.correct.sum())


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1])
def test_every_seed_gives_the_same_run_twice(seed):
    def losses():
        torch.manual_seed(0)
        loader = data.loader(Photos(count=5), batch_size=2, shuffle=True)
        options = {"val": loader, "epochs": 2, "lr": 1e-2, "seed": seed, "quiet": True}
        return training.fit(head(), loader, **options).frame().drop(columns="seconds")

    assert losses().equals(losses())


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_does_not_depend_on_the_number_of_threads(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        loader = data.loader(Photos(count=5), batch_size=2)
        options = {"val": loader, "epochs": 2, "lr": 1e-2, "seed": 0, "quiet": True}
        loss = training.fit(head(), loader, **options).last.train.loss
    finally:
        torch.set_num_threads(before)
    assert loss == pytest.approx(training.fit(head(), loader, **options).last.train.loss, rel=1e-5)


@pytest.mark.parametrize("arch", models.ARCHS)
def test_an_untrained_backbone_gives_features_of_the_right_width(arch, images, monkeypatch):
    found = models.find_weights(arch, "none", quiet=True)
    backbone = models.build_backbone(found)
    few = torch.utils.data.Subset(images.dataset("train", found.transforms()), [0, 1])
    extracted = features.extract(backbone, few, batch_size=2, cache=False, quiet=True)
    assert extracted.values.shape == (2, classifier.FEATURES[arch])
    assert extracted.values.isfinite().all()


def test_an_icc_profile_is_ignored_and_does_no_harm(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    image = photograph()
    for number, icc in enumerate((profile, b"broken", profile[:50])):
        path = tmp_path / f"{number}.png"
        image.save(path, icc_profile=icc)
        assert data.open_image(path).tobytes() == image.tobytes()


@pytest.mark.parametrize("count", [2, 3, 60, 61, 200, 1000])
def test_a_confusion_matrix_of_any_number_of_classes_is_a_figure_of_a_bounded_size(count):
    names = [f"class {number}" for number in range(count)]
    figure = plots.confusion(np.eye(count), names, title="t")
    written = io.BytesIO()
    figure.savefig(written, dpi=100)
    assert max(Image.open(written).size) < 2000


@pytest.mark.parametrize("names", [("$a$$b", "_ants"), ("蟻", "a" * 200), ("a\\b", "{x} %s")])
@pytest.mark.filterwarnings("ignore:the figures' font")
def test_a_classifier_keeps_odd_class_names(names, tmp_path):
    model = classifier.build(models.find_weights("alexnet", "none", quiet=True), names)
    small = classifier.Classifier(model.arch, model.classes, models.preset(64, 64), model.network)
    loaded = classifier.load(classifier.save(small, tmp_path / "m.safetensors"))
    assert loaded.classes == names
    (tmp_path / "a.jpg").write_bytes(encoded(photograph()))
    (found,) = prediction.predict_files(loaded, [tmp_path / "a.jpg"])
    assert {name for name, _ in loaded.top(found.probabilities, 2)} == set(names)
