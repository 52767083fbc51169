"""Divide Tiny ImageNet's archives into parts with training and validation images each.

python pretraining/parts.py FOLDER OUT
"""

import shutil
import sys
import zipfile
from pathlib import Path


def divide(source: Path, out: Path) -> list[Path]:
    """Copy each `train_*.zip` and a share of `val.zip` into a separate folder.

    Args:
        source: the folder with the archives.
        out: receives the folders 0, 1, and so on.

    Returns:
        The folders.

    Raises:
        FileNotFoundError: if `source` has no `train_*.zip` or no `val.zip`.
    """
    archives = sorted(source.glob("train_*.zip"))
    if not archives or not (source / "val.zip").is_file():
        raise FileNotFoundError(f"{source} needs train_*.zip and val.zip")
    folders = [out / str(number) for number in range(len(archives))]
    with zipfile.ZipFile(source / "val.zip") as val:
        names = sorted(val.namelist())
        for number, (folder, archive) in enumerate(zip(folders, archives, strict=True)):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(archive, folder / archive.name)
            with zipfile.ZipFile(folder / f"val_{number}.zip", "w") as part:
                for name in names[number :: len(folders)]:
                    part.writestr(name, val.read(name))
    return folders


if __name__ == "__main__":
    for made in divide(*map(Path, sys.argv[1:3])):
        print(made, sum(path.stat().st_size for path in made.iterdir()), "bytes")
