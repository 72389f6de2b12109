"""Generates the Python modules of the .proto files: `python -m triplane_schemas.generate`.

Needs `grpcio-tools` (in the `dev` extra). The result is committed, so that neither users nor builds need a compiler.
"""

import subprocess
import sys
from pathlib import Path


def generate(package_dir: Path) -> list[Path]:
    """Write `*_pb2.py` and `*_pb2.pyi` beside every .proto file below `package_dir`, and say which were written.

    Raises:
        subprocess.CalledProcessError: the compiler refused a file; its own message is on stderr.
    """
    root = package_dir.parent
    written = []
    for proto in sorted(package_dir.rglob("*.proto")):
        name = proto.relative_to(root)
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", f"--python_out={root}", f"--pyi_out={root}", str(name)]
        subprocess.run(command, check=True, cwd=root)
        written += [proto.with_name(f"{proto.stem}_pb2.py"), proto.with_name(f"{proto.stem}_pb2.pyi")]
    return written


if __name__ == "__main__":
    for path in generate(Path(__file__).parent):
        print(path.name)
