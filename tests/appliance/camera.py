"""A network camera for the container: loops a recording as Motion JPEG over HTTP, at a camera's pace.

Run by the container's Python with the packages of edged: python3 camera.py CLIP PORT
"""

from __future__ import annotations

import http.server
import sys
import time

sys.path.insert(0, "/usr/lib/edged")
import cv2

CLIP, PORT, FPS = sys.argv[1], int(sys.argv[2]), 10


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        while True:
            clip = cv2.VideoCapture(CLIP)
            due_s = time.monotonic()
            while (picture := clip.read())[0]:
                jpeg = cv2.imencode(".jpg", picture[1])[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                due_s += 1 / FPS
                time.sleep(max(0.0, due_s - time.monotonic()))

    def log_message(self, *_: object) -> None:
        pass


http.server.ThreadingHTTPServer(("", PORT), Handler).serve_forever()
