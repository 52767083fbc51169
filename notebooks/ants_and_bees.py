"""The blog post in plain PyTorch: freeze AlexNet or VGG16, swap the head, train, draw the curves.

    python ants_and_bees.py FOLDER [--arch vgg16] [--epochs 12]

FOLDER holds train/NAME and val/NAME with the images of each class, such as the photographs of
https://download.pytorch.org/tutorial/hymenoptera_data.zip. The weights are downloaded once.
"""

import argparse

import torch
from matplotlib import pyplot
from torch import nn
from torchvision import datasets, models

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--arch", default="alexnet", choices=["alexnet", "vgg16"])
parser.add_argument("--epochs", type=int, default=12)
options = parser.parse_args()

torch.manual_seed(0)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
weights = models.get_model_weights(options.arch).IMAGENET1K_V1
loaders = {}
for part in ("train", "val"):
    dataset = datasets.ImageFolder(f"{options.folder}/{part}", weights.transforms())
    loaders[part] = torch.utils.data.DataLoader(dataset, batch_size=20, shuffle=part == "train")

network = models.get_model(options.arch, weights=weights)
network.features.requires_grad_(False)  # freeze the backbone
network.classifier[-1] = nn.Linear(4096, len(dataset.classes))  # swap the head
network.to(device)
optimizer = torch.optim.Adam((p for p in network.parameters() if p.requires_grad), lr=3e-5)

curves = {f"{part} {name}": [] for part in loaders for name in ("loss", "accuracy")}
for epoch in range(1, options.epochs + 1):
    for part, loader in loaders.items():
        network.train(part == "train")
        total_loss = correct = 0
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            with torch.set_grad_enabled(part == "train"):
                logits = network(images)  # (N, classes)
                loss = nn.functional.cross_entropy(logits, labels)
            if part == "train":
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total_loss += loss.item() * len(labels)
            correct += (logits.argmax(1) == labels).sum().item()
        curves[f"{part} loss"].append(total_loss / len(loader.dataset))
        curves[f"{part} accuracy"].append(correct / len(loader.dataset))
    print(f"epoch {epoch}:", ", ".join(f"{name} {row[-1]:.3f}" for name, row in curves.items()))

for name, row in curves.items():
    pyplot.plot(range(1, options.epochs + 1), row, label=name)
pyplot.xlabel("epoch")
pyplot.legend()
pyplot.savefig("ants_and_bees.png")
