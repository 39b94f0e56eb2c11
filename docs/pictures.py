"""Make the tutorial's pictures from sample_data, by ``python docs/pictures.py``.

Needs the extra [dev], and Debian's chromium, libreoffice-calc and poppler-utils. Takes two minutes on a free machine.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
TUBE = "S05_Week12"
MARGIN = 12


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        shutil.copytree(ROOT / "sample_data" / "fcs", work / "fcs")
        treg("init", "fcs", cwd=work)
        spreadsheet(work / "fcs" / "samples.xlsx", "samples", "tutorial_sheet", work)
        treg("run", ROOT / "sample_data" / "samples.csv", "-o", work / "results", "-q", cwd=work)
        spreadsheet(work / "results" / "results.xlsx", "Treg endpoint", "tutorial_workbook", work)
        report(work / "results" / "report.html")


def treg(*words: object, cwd: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "treg_gating", *map(str, words)], cwd=cwd, check=False)
    if done.returncode not in (0, 4):  # 4: tubes need a review
        raise SystemExit(done.returncode)


def report(page_file: Path) -> None:
    """The first screen, and one tube with its gates."""
    program = shutil.which("chromium")
    with sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=program, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(page_file.as_uri())
        page.screenshot(path=IMAGES / "tutorial_report.png")
        tube = page.locator("details.tube", has_text=TUBE.replace("_Week", " Week ")).first
        tube.evaluate("tube => { tube.open = true; tube.scrollIntoView() }")
        page.wait_for_timeout(500)
        page.screenshot(path=IMAGES / "tutorial_tube.png")
        browser.close()
    for name in ("tutorial_report", "tutorial_tube"):
        small(IMAGES / f"{name}.png", Image.open(IMAGES / f"{name}.png"))


def spreadsheet(workbook: Path, title: str, name: str, work: Path) -> None:
    """The first page of a sheet, as LibreOffice prints it, without its white border."""
    import openpyxl

    book = openpyxl.load_workbook(workbook)
    for sheet in book.sheetnames:
        if sheet != title:
            del book[sheet]
    copy = work / f"{name}.xlsx"
    book.save(copy)
    profile = f"-env:UserInstallation={(work / 'office').as_uri()}"
    command = ["soffice", profile, "--headless", "--convert-to", "pdf", "--outdir", work, copy]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    subprocess.run(["pdftoppm", "-r", "110", "-l", "1", "-png", work / f"{name}.pdf", work / name], check=True)
    page = Image.open(next(work.glob(f"{name}-*.png"))).convert("RGB")
    page = page.crop((0, 0, page.width, int(page.height * 0.93)))  # the footer
    left, top, right, bottom = ImageChops.difference(page, Image.new("RGB", page.size, "white")).getbbox()
    small(IMAGES / f"{name}.png", page.crop((left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN)))


def small(path: Path, picture: Image.Image) -> None:
    """Write a PNG of 64 colours: a third of the size, and nothing to be seen of it."""
    picture.convert("RGB").quantize(64, method=Image.Quantize.MEDIANCUT).save(path, optimize=True)


if __name__ == "__main__":
    main()
