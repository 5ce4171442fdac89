@echo off
rem Says on COM1 that a stage of the installation begins: WINDOWS.md, 3. This file marks the answer CD, too.
rem   stage.cmd NAME
mode COM1: BAUD=115200 PARITY=n DATA=8 STOP=1 >nul 2>&1
>COM1 echo RINGWAVE stage %~1
exit /b 0
