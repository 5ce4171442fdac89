@echo off
rem Waits for services, card and endpoint by sound.ps1, and judges: sets result and text (WINDOWS.md, 7), code, the problem code of the
rem card's device, and device, its instance id. run.cmd and device.cmd call it.
rem   sound.cmd [SECONDS]
set "result=0"
set "text="
set "services="
set "stopped="
set "instance="
set "device="
set "code=0"
set "endpoint="
powershell -NoProfile -ExecutionPolicy Bypass -File "%here%sound.ps1" "%CARD_IDS%" %~1 >"%out%\logs\sound.txt" 2>&1
for /f "usebackq tokens=1-3" %%a in ("%out%\logs\sound.txt") do call :found "%%a" "%%b" "%%c"
if not "%services%"=="2" (
    set "result=11"
    set "text=sound.ps1 says nothing of the audio services; logs\sound.txt has what it said"
    exit /b
)
if defined stopped (
    set "result=11"
    set "text=the service %stopped% does not run"
    exit /b
)
if not defined instance (
    set "result=17"
    set "text=the card %CARD% is not there"
    exit /b
)
if not "%code%"=="0" (
    set "result=13"
    if "%code%"=="52" set "result=14"
    set "text=problem code %code% of %instance%"
    exit /b
)
if not defined endpoint (
    set "result=12"
    set "text=the card works, and no endpoint is active"
)
exit /b

rem A line of sound.ps1. $1 what $2 name, code or id $3 state or id
:found
if "%~1"=="service" (
    set /a services+=1
    if not "%~3"=="Running" set "stopped=%~2"
)
if "%~1"=="endpoint" set "endpoint=1"
if not "%~1"=="card" exit /b
rem Of HD Audio the codec: the controller's driver is Windows' own.
if not "%device:~0,8%"=="HDAUDIO\" set "device=%~3"
if not defined instance set "instance=%~3"
if "%~2"=="0" exit /b
set "code=%~2"
set "instance=%~3"
exit /b
